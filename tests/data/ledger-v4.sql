BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('4');
CREATE TABLE audit (
	seq BIGINT NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	action VARCHAR(40) NOT NULL, 
	subject VARCHAR(64) NOT NULL, 
	version INTEGER, 
	detail TEXT NOT NULL, 
	prev VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq), 
	CONSTRAINT one_record_per_event UNIQUE (subject, version)
);
INSERT INTO "audit" VALUES(1,'2030-01-15T12:00:00+00:00','burstd','burst.Planned','000000000001',0,'{"cause":"","stage":"planned","version":0}','0000000000000000000000000000000000000000000000000000000000000000','ccc56ea8211de3a0bb8429913cea7811a8ce44e35dd50de6124ce7d3feaae440');
INSERT INTO "audit" VALUES(2,'2030-01-15T12:00:00+00:00','burstd','burst.Planned','000000000002',0,'{"cause":"","stage":"planned","version":0}','ccc56ea8211de3a0bb8429913cea7811a8ce44e35dd50de6124ce7d3feaae440','a6745e8a87e59fb41903916400cf82b168b754bd359d3f429bdcf7a6280adc16');
INSERT INTO "audit" VALUES(3,'2030-01-15T12:00:00+00:00','burstd','burst.Planned','000000000003',0,'{"cause":"","stage":"planned","version":0}','a6745e8a87e59fb41903916400cf82b168b754bd359d3f429bdcf7a6280adc16','67cd5d4fd168c709cb3f07fc0e807344cd386ce07866fffd2d6062861420a828');
INSERT INTO "audit" VALUES(4,'2030-01-15T12:00:00+00:00','burstd','burst.Planned','000000000004',0,'{"cause":"","stage":"planned","version":0}','67cd5d4fd168c709cb3f07fc0e807344cd386ce07866fffd2d6062861420a828','9a226472a7080a71f5441d091fe748edcec2213cfd8f658866ed05e5857f2028');
INSERT INTO "audit" VALUES(5,'2030-01-15T12:00:07+00:00','burstd','burst.Kept','000000000001',1,'{"cause":"","stage":"claiming","version":1}','9a226472a7080a71f5441d091fe748edcec2213cfd8f658866ed05e5857f2028','d5413aa9f9543309ce660e5638d7eeedaa62ee6abe61d56d3ce8927a5313e75e');
INSERT INTO "audit" VALUES(6,'2030-01-15T12:00:14+00:00','burstd','burst.Claimed','000000000001',2,'{"cause":"","stage":"claimed","version":2}','d5413aa9f9543309ce660e5638d7eeedaa62ee6abe61d56d3ce8927a5313e75e','ff0a217adf8eb6c7e199dce06245dbcb669d774facb90e13e68e02550d1b85a6');
INSERT INTO "audit" VALUES(7,'2030-01-15T12:00:21+00:00','burstd','burst.Begun','000000000001',3,'{"cause":"","stage":"staging_in","version":3}','ff0a217adf8eb6c7e199dce06245dbcb669d774facb90e13e68e02550d1b85a6','14020db826599af1ce31b6954ff560991982d99ff6438edcc23a3a6ab2d93f8e');
INSERT INTO "audit" VALUES(8,'2030-01-15T12:00:28+00:00','burstd','burst.Done','000000000001',4,'{"cause":"","stage":"staged_in","version":4}','14020db826599af1ce31b6954ff560991982d99ff6438edcc23a3a6ab2d93f8e','ed963d7bd9288d8fd819c98d656d630be54a1feb05ef24118f449fd4ef385b8c');
INSERT INTO "audit" VALUES(9,'2030-01-15T12:00:35+00:00','burstd','burst.Begun','000000000001',5,'{"cause":"","stage":"submitting","version":5}','ed963d7bd9288d8fd819c98d656d630be54a1feb05ef24118f449fd4ef385b8c','7ebd86da343d9a4e62e63362b297a936a2a52aa1f2f810333941f263c774d662');
INSERT INTO "audit" VALUES(10,'2030-01-15T12:00:42+00:00','burstd','burst.Accepted','000000000001',6,'{"cause":"","stage":"submitted","version":6}','7ebd86da343d9a4e62e63362b297a936a2a52aa1f2f810333941f263c774d662','1b5a81dab9715cdf878b934d6e14955deeb30bb0622d1773387088cb8a7ad231');
INSERT INTO "audit" VALUES(11,'2030-01-15T12:00:49+00:00','burstd','burst.Kept','000000000002',1,'{"cause":"","stage":"claiming","version":1}','1b5a81dab9715cdf878b934d6e14955deeb30bb0622d1773387088cb8a7ad231','3e17ba97b02ab1e2e932f5116d1146baca4072b32461297be1e34431b306aeed');
INSERT INTO "audit" VALUES(12,'2030-01-15T12:00:56+00:00','burstd','burst.Claimed','000000000002',2,'{"cause":"","stage":"claimed","version":2}','3e17ba97b02ab1e2e932f5116d1146baca4072b32461297be1e34431b306aeed','7304c342348b0a83c51dde0d5dad570112423e9a05bc5c65dc4e94f189e371d2');
INSERT INTO "audit" VALUES(13,'2030-01-15T12:01:03+00:00','burstd','burst.Begun','000000000002',3,'{"cause":"","stage":"staging_in","version":3}','7304c342348b0a83c51dde0d5dad570112423e9a05bc5c65dc4e94f189e371d2','5a53ec575069ddee303dbd58831c32686e156d967cc1d89cd33743ddc5dc4df1');
INSERT INTO "audit" VALUES(14,'2030-01-15T12:01:10+00:00','burstd','burst.Deferred','000000000002',4,'{"cause":"Unreachable: cloud is away","stage":"staging_in","version":4}','5a53ec575069ddee303dbd58831c32686e156d967cc1d89cd33743ddc5dc4df1','3d79cf501688290f22b3e0f3393dd17dfcb6846b30357507117b0e196f6e0a68');
INSERT INTO "audit" VALUES(15,'2030-01-15T12:01:17+00:00','burstd','burst.Kept','000000000003',1,'{"cause":"","stage":"claiming","version":1}','3d79cf501688290f22b3e0f3393dd17dfcb6846b30357507117b0e196f6e0a68','94b61dbd999c8a0b7acac463dc91e36cbcdcf0eb0a992636ac074a025697d0b1');
INSERT INTO "audit" VALUES(16,'2030-01-15T12:01:24+00:00','burstd','burst.Claimed','000000000003',2,'{"cause":"","stage":"claimed","version":2}','94b61dbd999c8a0b7acac463dc91e36cbcdcf0eb0a992636ac074a025697d0b1','8e5adbfe17ef3f96633d136310b4187ed6326396ffdfeac237841dffe84fd228');
INSERT INTO "audit" VALUES(17,'2030-01-15T12:01:31+00:00','burstd','burst.Begun','000000000003',3,'{"cause":"","stage":"staging_in","version":3}','8e5adbfe17ef3f96633d136310b4187ed6326396ffdfeac237841dffe84fd228','af119106a6ef5a103a16606a3a6e1f4d87f595b48a5ef1724ade060aa4e477e5');
INSERT INTO "audit" VALUES(18,'2030-01-15T12:01:38+00:00','burstd','burst.Broken','000000000003',4,'{"cause":"ValueError(''a fault'')","stage":"quarantined","version":4}','af119106a6ef5a103a16606a3a6e1f4d87f595b48a5ef1724ade060aa4e477e5','9707d3d72ada670960c2bbb376764b21bb12dfed03e0809523a4fc2bb15c97aa');
INSERT INTO "audit" VALUES(19,'2030-01-15T12:01:45+00:00','burstd','burst.Kept','000000000004',1,'{"cause":"","stage":"claiming","version":1}','9707d3d72ada670960c2bbb376764b21bb12dfed03e0809523a4fc2bb15c97aa','56f1c96c883d862da7edb43c641d1b8e059b2945ddd8464e84f8e492716a2b5c');
INSERT INTO "audit" VALUES(20,'2030-01-15T12:01:52+00:00','burstd','burst.Claimed','000000000004',2,'{"cause":"","stage":"claimed","version":2}','56f1c96c883d862da7edb43c641d1b8e059b2945ddd8464e84f8e492716a2b5c','6db891de5856ccb4aa02be038b13665e861bb3a8f473cd89d1bd98f1fc295afd');
INSERT INTO "audit" VALUES(21,'2030-01-15T12:01:59+00:00','burstd','burst.Begun','000000000004',3,'{"cause":"","stage":"staging_in","version":3}','6db891de5856ccb4aa02be038b13665e861bb3a8f473cd89d1bd98f1fc295afd','a1fb1df3f7d25d959e6164cbb3d31f1a5caeb3493a73d78a404bf88f836f43d0');
INSERT INTO "audit" VALUES(22,'2030-01-15T12:02:06+00:00','burstd','burst.Refused','000000000004',4,'{"cause":"missing input","stage":"returning","version":4}','a1fb1df3f7d25d959e6164cbb3d31f1a5caeb3493a73d78a404bf88f836f43d0','1eb12519b8fde3daba8a3e3cc4549e38724380ae035611247b2d1b663d79bd98');
INSERT INTO "audit" VALUES(23,'2030-01-15T12:02:13+00:00','burstd','burst.Done','000000000004',5,'{"cause":"missing input","stage":"returned","version":5}','1eb12519b8fde3daba8a3e3cc4549e38724380ae035611247b2d1b663d79bd98','bf16d3e271cdb5e06f59d5fedf8d3d7fcb44b0e9c2384a572d5df9328a950063');
INSERT INTO "audit" VALUES(24,'2030-01-15T12:02:13+00:00','burstd','burst.Planned','000000000005',0,'{"cause":"","stage":"planned","version":0}','bf16d3e271cdb5e06f59d5fedf8d3d7fcb44b0e9c2384a572d5df9328a950063','76913bcde3f5e06f08d4fb7885a481027bb326907fe0c54b1073c8e42def88ff');
INSERT INTO "audit" VALUES(25,'2030-01-15T12:02:20+00:00','burstd','burst.Kept','000000000005',1,'{"cause":"","stage":"claiming","version":1}','76913bcde3f5e06f08d4fb7885a481027bb326907fe0c54b1073c8e42def88ff','895079b6e2392edca03fec00f7f9bdee999c4296a02c7452912025bd48b2995d');
INSERT INTO "audit" VALUES(26,'2030-01-15T12:02:27+00:00','burstd','burst.Claimed','000000000005',2,'{"cause":"","stage":"claimed","version":2}','895079b6e2392edca03fec00f7f9bdee999c4296a02c7452912025bd48b2995d','5d627568afd09b15f9e877e7bcd20f46c831c4cabeff251017e0953996656bc2');
INSERT INTO "audit" VALUES(27,'2030-01-15T12:02:34+00:00','burstd','burst.Begun','000000000005',3,'{"cause":"","stage":"staging_in","version":3}','5d627568afd09b15f9e877e7bcd20f46c831c4cabeff251017e0953996656bc2','a3ba76627e12ddb4958e7d2799c755c85ad572e6fdbbfc1118f5bdb540028b58');
INSERT INTO "audit" VALUES(28,'2030-01-15T12:02:41+00:00','burstd','burst.Done','000000000005',4,'{"cause":"","stage":"staged_in","version":4}','a3ba76627e12ddb4958e7d2799c755c85ad572e6fdbbfc1118f5bdb540028b58','b9591f4a96c98620e15de5be5e2accf11c998342ffef614c23fc2f0af8f56960');
INSERT INTO "audit" VALUES(29,'2030-01-15T12:02:48+00:00','burstd','burst.Begun','000000000005',5,'{"cause":"","stage":"submitting","version":5}','b9591f4a96c98620e15de5be5e2accf11c998342ffef614c23fc2f0af8f56960','14fae1a5490deb95991c871f31276927c5036a6f44166447c86ef6d4ba669db2');
INSERT INTO "audit" VALUES(30,'2030-01-15T12:02:55+00:00','burstd','burst.Accepted','000000000005',6,'{"cause":"","stage":"submitted","version":6}','14fae1a5490deb95991c871f31276927c5036a6f44166447c86ef6d4ba669db2','c7a68a6208ded36288020a70d93c4398dd6cad1cde4966c3d50d5dfcf0a35524');
INSERT INTO "audit" VALUES(31,'2030-01-15T12:03:02+00:00','burstd','burst.Done','000000000005',7,'{"cause":"","stage":"permitting","version":7}','c7a68a6208ded36288020a70d93c4398dd6cad1cde4966c3d50d5dfcf0a35524','69adac7d5027d1811c4bab578740d1ecc35adc97b5cdd6b94acd0ea6a28c7a36');
INSERT INTO "audit" VALUES(32,'2030-01-15T12:03:09+00:00','burstd','burst.Done','000000000005',8,'{"cause":"","stage":"running","version":8}','69adac7d5027d1811c4bab578740d1ecc35adc97b5cdd6b94acd0ea6a28c7a36','cdf108d6d7036d33b838e4cfe00dbbb5bb85ca94f7cd3e8cd989eaeb00e2720a');
INSERT INTO "audit" VALUES(33,'2030-01-15T12:03:16+00:00','burstd','burst.Ended','000000000005',9,'{"cause":"","stage":"ended","version":9}','cdf108d6d7036d33b838e4cfe00dbbb5bb85ca94f7cd3e8cd989eaeb00e2720a','3bb2ffac3acb62cc5dc712e6495c9f6888a1c93395d04bb5f4f82b0e9ffd7435');
INSERT INTO "audit" VALUES(34,'2030-01-15T12:03:23+00:00','burstd','burst.Begun','000000000005',10,'{"cause":"","stage":"staging_out","version":10}','3bb2ffac3acb62cc5dc712e6495c9f6888a1c93395d04bb5f4f82b0e9ffd7435','8133b031ddb6856a8de11def900b19eb9dd3dfb1a686a0a3f566492d86ea6fcf');
INSERT INTO "audit" VALUES(35,'2030-01-15T12:03:30+00:00','burstd','burst.Done','000000000005',11,'{"cause":"","stage":"staged_out","version":11}','8133b031ddb6856a8de11def900b19eb9dd3dfb1a686a0a3f566492d86ea6fcf','25573573e73d575a38319837787d9c4d99cab5feaaa7698f6ac13221a46bd25f');
INSERT INTO "audit" VALUES(36,'2030-01-15T12:03:37+00:00','burstd','burst.Begun','000000000005',12,'{"cause":"","stage":"settling","version":12}','25573573e73d575a38319837787d9c4d99cab5feaaa7698f6ac13221a46bd25f','2c6db682b319b63ce16d84b177eb400f7f311e5537279e1d2b208164eb7952fc');
INSERT INTO "audit" VALUES(37,'2030-01-15T12:03:44+00:00','burstd','burst.Settled','000000000005',13,'{"cause":"","stage":"settled","version":13}','2c6db682b319b63ce16d84b177eb400f7f311e5537279e1d2b208164eb7952fc','aff1e4edac52a7594dcf4806974ef71f4afd3ed6da1d2f88ce6910e2f5bd0efb');
INSERT INTO "audit" VALUES(38,'2030-01-15T12:03:44+00:00','burstd','burst.Declined','000000000006',0,'{"cause":"no application","stage":"returning","version":0}','aff1e4edac52a7594dcf4806974ef71f4afd3ed6da1d2f88ce6910e2f5bd0efb','b2966e356d7ae51c9a3a7c600d95f06e0d50c4c9d15d55df728ed1a9bcf39b3f');
CREATE TABLE bursts (
	id VARCHAR(32) NOT NULL, 
	job_id INTEGER NOT NULL, 
	array_task INTEGER, 
	target VARCHAR(64) NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	open BOOLEAN NOT NULL, 
	returned BOOLEAN NOT NULL, 
	month VARCHAR(7) NOT NULL, 
	created_at VARCHAR(40) NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, fetched_at VARCHAR(40), remains BOOLEAN DEFAULT false NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "bursts" VALUES('000000000001',1,NULL,'cloud','submitted',1,0,'2030-01','2030-01-15T12:00:00+00:00',6,'{"id": "000000000001", "identity": {"key": {"cluster": "onprem", "job_id": 1, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "cloud", "application": "calculix", "cores": 1, "reserved": "0.10", "created_at": "2030-01-15T12:00:00Z", "stage": "submitted", "stage_since": "2030-01-15T12:00:42Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 1, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 2, "tasks": 8, "cpus": 8, "cpus_per_task": 1, "tasks_per_node": 4, "memory_per_node": 2000, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae", "timelimit": "01:00:00"}, "wish": false}, "claim": {"boot": "2030-01-15T11:00:00", "since": {"machine": "", "seconds": 0.0}}, "remote_id": "77", "remote": {"boot": "g1", "since": {"machine": "", "seconds": 0.0}}, "submit_intended": true, "outcome": null, "cost": null, "core_hours": null, "cause": "", "attempt": 0, "due_at": null, "version": 6}',NULL,0);
INSERT INTO "bursts" VALUES('000000000002',2,4,'cloud','staging_in',1,0,'2030-01','2030-01-15T12:00:00+00:00',4,'{"id": "000000000002", "identity": {"key": {"cluster": "onprem", "job_id": 2, "array_task": 4}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "cloud", "application": "calculix", "cores": 1, "reserved": "0.10", "created_at": "2030-01-15T12:00:00Z", "stage": "staging_in", "stage_since": "2030-01-15T12:01:03Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 2, "array_task": 4}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 2, "tasks": 8, "cpus": 8, "cpus_per_task": 1, "tasks_per_node": 4, "memory_per_node": 2000, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae", "timelimit": "01:00:00"}, "wish": false}, "claim": {"boot": "2030-01-15T11:00:00", "since": {"machine": "", "seconds": 0.0}}, "remote_id": null, "remote": null, "submit_intended": false, "outcome": null, "cost": null, "core_hours": null, "cause": "Unreachable: cloud is away", "attempt": 1, "due_at": "2030-01-15T12:01:07Z", "version": 4}',NULL,0);
INSERT INTO "bursts" VALUES('000000000003',3,NULL,'cloud','quarantined',0,0,'2030-01','2030-01-15T12:00:00+00:00',4,'{"id": "000000000003", "identity": {"key": {"cluster": "onprem", "job_id": 3, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "cloud", "application": "calculix", "cores": 1, "reserved": "0.10", "created_at": "2030-01-15T12:00:00Z", "stage": "quarantined", "stage_since": "2030-01-15T12:01:38Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 3, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 2, "tasks": 8, "cpus": 8, "cpus_per_task": 1, "tasks_per_node": 4, "memory_per_node": 2000, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae", "timelimit": "01:00:00"}, "wish": false}, "claim": {"boot": "2030-01-15T11:00:00", "since": {"machine": "", "seconds": 0.0}}, "remote_id": null, "remote": null, "submit_intended": false, "outcome": null, "cost": null, "core_hours": null, "cause": "ValueError(''a fault'')", "attempt": 0, "due_at": null, "version": 4, "quarantined_at": "staging_in"}',NULL,0);
INSERT INTO "bursts" VALUES('000000000004',5,NULL,'cloud','returned',0,1,'2030-01','2030-01-15T12:00:00+00:00',5,'{"id": "000000000004", "identity": {"key": {"cluster": "onprem", "job_id": 5, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "cloud", "application": "calculix", "cores": 1, "reserved": "0.10", "created_at": "2030-01-15T12:00:00Z", "stage": "returned", "stage_since": "2030-01-15T12:02:13Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 5, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 2, "tasks": 8, "cpus": 8, "cpus_per_task": 1, "tasks_per_node": 4, "memory_per_node": 2000, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae", "timelimit": "01:00:00"}, "wish": false}, "claim": {"boot": "2030-01-15T11:00:00", "since": {"machine": "", "seconds": 0.0}}, "remote_id": null, "remote": null, "submit_intended": false, "outcome": null, "cost": null, "core_hours": null, "cause": "missing input", "attempt": 0, "due_at": null, "version": 5}',NULL,0);
INSERT INTO "bursts" VALUES('000000000005',6,NULL,'cloud','settled',0,0,'2030-01','2030-01-15T12:02:13+00:00',13,'{"id": "000000000005", "identity": {"key": {"cluster": "onprem", "job_id": 6, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "cloud", "application": "calculix", "cores": 1, "reserved": "0.10", "created_at": "2030-01-15T12:02:13Z", "stage": "settled", "stage_since": "2030-01-15T12:03:44Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 6, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 2, "tasks": 8, "cpus": 8, "cpus_per_task": 1, "tasks_per_node": 4, "memory_per_node": 2000, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae", "timelimit": "01:00:00"}, "wish": false}, "claim": {"boot": "2030-01-15T11:00:00", "since": {"machine": "", "seconds": 0.0}}, "remote_id": "78", "remote": {"boot": "g1", "since": {"machine": "", "seconds": 0.0}}, "submit_intended": true, "outcome": {"reason": "exited", "exit_code": 3, "signal": null, "elapsed": "PT40S", "detail": ""}, "cost": "0.03", "core_hours": 0.6, "cause": "", "attempt": 0, "due_at": null, "version": 13}',NULL,0);
INSERT INTO "bursts" VALUES('000000000006',9,NULL,'','returning',1,0,'2030-01','2030-01-15T12:03:44+00:00',0,'{"id": "000000000006", "identity": {"key": {"cluster": "onprem", "job_id": 9, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "target": "", "application": "", "cores": 0, "reserved": "0", "created_at": "2030-01-15T12:03:44Z", "stage": "returning", "stage_since": "2030-01-15T12:03:44Z", "record": {"identity": {"key": {"cluster": "onprem", "job_id": 9, "array_task": null}, "submitted_at": "2030-01-15T12:00:00Z", "user": "alice", "name": "beam"}, "shape": {"nodes": 1, "tasks": 1, "cpus": 1, "cpus_per_task": 1, "tasks_per_node": null, "memory_per_node": null, "memory_per_cpu": null, "gpus": 0, "exclusive": false}, "time_limit": "PT1H", "fields": {"partition": "cae"}, "wish": true}, "claim": null, "remote_id": null, "remote": null, "submit_intended": false, "outcome": null, "cost": null, "core_hours": null, "cause": "no application", "attempt": 0, "due_at": null, "version": 0}',NULL,0);
CREATE TABLE facts (
	name VARCHAR(32) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('surging','1');
CREATE TABLE keys (
	place VARCHAR(32) NOT NULL, 
	bucket VARCHAR(64) NOT NULL, 
	scope VARCHAR(200) NOT NULL, 
	wrapped TEXT, 
	made_at VARCHAR(40) NOT NULL, 
	destroyed_at VARCHAR(40), 
	emptied_at VARCHAR(40), 
	"by" VARCHAR(64) NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (place)
);
INSERT INTO "keys" VALUES('00000000000000000000000000000001','eu','burst:one','wrapped 1','2030-01-15T12:00:00+00:00',NULL,NULL,'','');
CREATE TABLE permits (
	burst VARCHAR(32) NOT NULL, 
	attempt INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (burst, attempt)
);
INSERT INTO "permits" VALUES('000000000005',1,'2030-01-15T12:03:02+00:00');
CREATE TABLE reports (
	burst VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	bytes BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (burst, kind)
);
INSERT INTO "reports" VALUES('000000000001','hello','2030-01-15T12:00:21+00:00',0,'{"restarts": 0}');
INSERT INTO "reports" VALUES('000000000001','staged_in','2030-01-15T12:00:21+00:00',100,'{"bytes": 100, "secret": "ab"}');
CREATE TABLE requests (
	burst VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"by" VARCHAR(64) NOT NULL, 
	why TEXT NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (burst, kind)
);
INSERT INTO "requests" VALUES('000000000001','pay','root','','2026-11-20T12:00:00+00:00');
CREATE TABLE verdicts (
	job_id INTEGER NOT NULL, 
	array_task INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	placed BOOLEAN NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (job_id, array_task)
);
INSERT INTO "verdicts" VALUES(1,-1,'2030-01-15T12:00:00+00:00','alice',1,'it goes to cloud for at most 0.10');
INSERT INTO "verdicts" VALUES(2,4,'2030-01-15T12:00:00+00:00','alice',1,'it goes to cloud for at most 0.10');
INSERT INTO "verdicts" VALUES(3,-1,'2030-01-15T12:00:00+00:00','alice',1,'it goes to cloud for at most 0.10');
INSERT INTO "verdicts" VALUES(5,-1,'2030-01-15T12:00:00+00:00','alice',1,'it goes to cloud for at most 0.10');
INSERT INTO "verdicts" VALUES(6,-1,'2030-01-15T12:02:13+00:00','alice',1,'it goes to cloud for at most 0.10');
INSERT INTO "verdicts" VALUES(4,0,'2030-01-15T12:03:44+00:00','alice',0,'it has not waited long enough (age 3 s)');
INSERT INTO "verdicts" VALUES(4,1,'2030-01-15T12:03:44+00:00','alice',0,'it has not waited long enough (age 3 s)');
CREATE UNIQUE INDEX one_open_burst_per_job ON bursts (job_id, coalesce(array_task, -1)) WHERE open;
CREATE INDEX ix_audit_subject ON audit (subject);
CREATE UNIQUE INDEX one_living_key ON keys (bucket, scope) WHERE wrapped is not null;
COMMIT;
