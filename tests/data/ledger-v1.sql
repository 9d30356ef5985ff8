BEGIN TRANSACTION;
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
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "bursts" VALUES('000000000001',1,NULL,'cloud','submitted',1,0,'2030-01','2030-01-15T12:00:00+00:00',6,'{"id":"000000000001","identity":{"key":{"cluster":"onprem","job_id":1,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"cloud","application":"calculix","cores":1,"reserved":"0.10","created_at":"2030-01-15T12:00:00Z","stage":"submitted","stage_since":"2030-01-15T12:00:42Z","record":{"identity":{"key":{"cluster":"onprem","job_id":1,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":2,"tasks":8,"cpus":8,"cpus_per_task":1,"tasks_per_node":4,"memory_per_node":2000,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae","timelimit":"01:00:00"},"wish":false},"claim":{"boot":"2030-01-15T11:00:00","since":"2030-01-15T12:00:07Z"},"remote_id":"77","remote":{"boot":"g1","since":"2030-01-15T12:00:35Z"},"submit_intended":true,"outcome":null,"cost":null,"core_hours":null,"cause":"","attempt":0,"due_at":null,"version":6}');
INSERT INTO "bursts" VALUES('000000000002',2,4,'cloud','staging_in',1,0,'2030-01','2030-01-15T12:00:00+00:00',4,'{"id":"000000000002","identity":{"key":{"cluster":"onprem","job_id":2,"array_task":4},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"cloud","application":"calculix","cores":1,"reserved":"0.10","created_at":"2030-01-15T12:00:00Z","stage":"staging_in","stage_since":"2030-01-15T12:01:03Z","record":{"identity":{"key":{"cluster":"onprem","job_id":2,"array_task":4},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":2,"tasks":8,"cpus":8,"cpus_per_task":1,"tasks_per_node":4,"memory_per_node":2000,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae","timelimit":"01:00:00"},"wish":false},"claim":{"boot":"2030-01-15T11:00:00","since":"2030-01-15T12:00:49Z"},"remote_id":null,"remote":null,"submit_intended":false,"outcome":null,"cost":null,"core_hours":null,"cause":"Unreachable: cloud is away","attempt":1,"due_at":"2030-01-15T12:01:07Z","version":4}');
INSERT INTO "bursts" VALUES('000000000003',3,NULL,'cloud','quarantined',0,0,'2030-01','2030-01-15T12:00:00+00:00',4,'{"id":"000000000003","identity":{"key":{"cluster":"onprem","job_id":3,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"cloud","application":"calculix","cores":1,"reserved":"0.10","created_at":"2030-01-15T12:00:00Z","stage":"quarantined","stage_since":"2030-01-15T12:01:38Z","record":{"identity":{"key":{"cluster":"onprem","job_id":3,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":2,"tasks":8,"cpus":8,"cpus_per_task":1,"tasks_per_node":4,"memory_per_node":2000,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae","timelimit":"01:00:00"},"wish":false},"claim":{"boot":"2030-01-15T11:00:00","since":"2030-01-15T12:01:17Z"},"remote_id":null,"remote":null,"submit_intended":false,"outcome":null,"cost":null,"core_hours":null,"cause":"ValueError(''a fault'')","attempt":0,"due_at":null,"version":4}');
INSERT INTO "bursts" VALUES('000000000004',5,NULL,'cloud','returned',0,1,'2030-01','2030-01-15T12:00:00+00:00',5,'{"id":"000000000004","identity":{"key":{"cluster":"onprem","job_id":5,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"cloud","application":"calculix","cores":1,"reserved":"0.10","created_at":"2030-01-15T12:00:00Z","stage":"returned","stage_since":"2030-01-15T12:02:13Z","record":{"identity":{"key":{"cluster":"onprem","job_id":5,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":2,"tasks":8,"cpus":8,"cpus_per_task":1,"tasks_per_node":4,"memory_per_node":2000,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae","timelimit":"01:00:00"},"wish":false},"claim":{"boot":"2030-01-15T11:00:00","since":"2030-01-15T12:01:45Z"},"remote_id":null,"remote":null,"submit_intended":false,"outcome":null,"cost":null,"core_hours":null,"cause":"missing input","attempt":0,"due_at":null,"version":5}');
INSERT INTO "bursts" VALUES('000000000005',6,NULL,'cloud','settled',0,0,'2030-01','2030-01-15T12:02:13+00:00',13,'{"id":"000000000005","identity":{"key":{"cluster":"onprem","job_id":6,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"cloud","application":"calculix","cores":1,"reserved":"0.10","created_at":"2030-01-15T12:02:13Z","stage":"settled","stage_since":"2030-01-15T12:03:44Z","record":{"identity":{"key":{"cluster":"onprem","job_id":6,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":2,"tasks":8,"cpus":8,"cpus_per_task":1,"tasks_per_node":4,"memory_per_node":2000,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae","timelimit":"01:00:00"},"wish":false},"claim":{"boot":"2030-01-15T11:00:00","since":"2030-01-15T12:02:20Z"},"remote_id":"78","remote":{"boot":"g1","since":"2030-01-15T12:02:48Z"},"submit_intended":true,"outcome":{"reason":"exited","exit_code":3,"signal":null,"elapsed":"PT40S","detail":""},"cost":"0.03","core_hours":0.6,"cause":"","attempt":0,"due_at":null,"version":13}');
INSERT INTO "bursts" VALUES('000000000006',9,NULL,'','returning',1,0,'2030-01','2030-01-15T12:03:44+00:00',0,'{"id":"000000000006","identity":{"key":{"cluster":"onprem","job_id":9,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"target":"","application":"","cores":0,"reserved":"0","created_at":"2030-01-15T12:03:44Z","stage":"returning","stage_since":"2030-01-15T12:03:44Z","record":{"identity":{"key":{"cluster":"onprem","job_id":9,"array_task":null},"submitted_at":"2030-01-15T12:00:00Z","user":"alice","name":"beam"},"shape":{"nodes":1,"tasks":1,"cpus":1,"cpus_per_task":1,"tasks_per_node":null,"memory_per_node":null,"memory_per_cpu":null,"gpus":0,"exclusive":false},"time_limit":"PT1H","fields":{"partition":"cae"},"wish":true},"claim":null,"remote_id":null,"remote":null,"submit_intended":false,"outcome":null,"cost":null,"core_hours":null,"cause":"no application","attempt":0,"due_at":null,"version":0}');
CREATE TABLE facts (
	name VARCHAR(32) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('schema','1');
INSERT INTO "facts" VALUES('surging','1');
CREATE TABLE journal (
	seq INTEGER NOT NULL, 
	burst VARCHAR(32) NOT NULL, 
	version INTEGER NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	stage VARCHAR(16) NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (burst, version)
);
INSERT INTO "journal" VALUES(1,'000000000001',0,'2030-01-15T12:00:00+00:00','Planned','planned','');
INSERT INTO "journal" VALUES(2,'000000000002',0,'2030-01-15T12:00:00+00:00','Planned','planned','');
INSERT INTO "journal" VALUES(3,'000000000003',0,'2030-01-15T12:00:00+00:00','Planned','planned','');
INSERT INTO "journal" VALUES(4,'000000000004',0,'2030-01-15T12:00:00+00:00','Planned','planned','');
INSERT INTO "journal" VALUES(5,'000000000001',1,'2030-01-15T12:00:07+00:00','Kept','claiming','');
INSERT INTO "journal" VALUES(6,'000000000001',2,'2030-01-15T12:00:14+00:00','Claimed','claimed','');
INSERT INTO "journal" VALUES(7,'000000000001',3,'2030-01-15T12:00:21+00:00','Begun','staging_in','');
INSERT INTO "journal" VALUES(8,'000000000001',4,'2030-01-15T12:00:28+00:00','Done','staged_in','');
INSERT INTO "journal" VALUES(9,'000000000001',5,'2030-01-15T12:00:35+00:00','Begun','submitting','');
INSERT INTO "journal" VALUES(10,'000000000001',6,'2030-01-15T12:00:42+00:00','Accepted','submitted','');
INSERT INTO "journal" VALUES(11,'000000000002',1,'2030-01-15T12:00:49+00:00','Kept','claiming','');
INSERT INTO "journal" VALUES(12,'000000000002',2,'2030-01-15T12:00:56+00:00','Claimed','claimed','');
INSERT INTO "journal" VALUES(13,'000000000002',3,'2030-01-15T12:01:03+00:00','Begun','staging_in','');
INSERT INTO "journal" VALUES(14,'000000000002',4,'2030-01-15T12:01:10+00:00','Deferred','staging_in','Unreachable: cloud is away');
INSERT INTO "journal" VALUES(15,'000000000003',1,'2030-01-15T12:01:17+00:00','Kept','claiming','');
INSERT INTO "journal" VALUES(16,'000000000003',2,'2030-01-15T12:01:24+00:00','Claimed','claimed','');
INSERT INTO "journal" VALUES(17,'000000000003',3,'2030-01-15T12:01:31+00:00','Begun','staging_in','');
INSERT INTO "journal" VALUES(18,'000000000003',4,'2030-01-15T12:01:38+00:00','Broken','quarantined','ValueError(''a fault'')');
INSERT INTO "journal" VALUES(19,'000000000004',1,'2030-01-15T12:01:45+00:00','Kept','claiming','');
INSERT INTO "journal" VALUES(20,'000000000004',2,'2030-01-15T12:01:52+00:00','Claimed','claimed','');
INSERT INTO "journal" VALUES(21,'000000000004',3,'2030-01-15T12:01:59+00:00','Begun','staging_in','');
INSERT INTO "journal" VALUES(22,'000000000004',4,'2030-01-15T12:02:06+00:00','Refused','returning','missing input');
INSERT INTO "journal" VALUES(23,'000000000004',5,'2030-01-15T12:02:13+00:00','Done','returned','missing input');
INSERT INTO "journal" VALUES(24,'000000000005',0,'2030-01-15T12:02:13+00:00','Planned','planned','');
INSERT INTO "journal" VALUES(25,'000000000005',1,'2030-01-15T12:02:20+00:00','Kept','claiming','');
INSERT INTO "journal" VALUES(26,'000000000005',2,'2030-01-15T12:02:27+00:00','Claimed','claimed','');
INSERT INTO "journal" VALUES(27,'000000000005',3,'2030-01-15T12:02:34+00:00','Begun','staging_in','');
INSERT INTO "journal" VALUES(28,'000000000005',4,'2030-01-15T12:02:41+00:00','Done','staged_in','');
INSERT INTO "journal" VALUES(29,'000000000005',5,'2030-01-15T12:02:48+00:00','Begun','submitting','');
INSERT INTO "journal" VALUES(30,'000000000005',6,'2030-01-15T12:02:55+00:00','Accepted','submitted','');
INSERT INTO "journal" VALUES(31,'000000000005',7,'2030-01-15T12:03:02+00:00','Done','permitting','');
INSERT INTO "journal" VALUES(32,'000000000005',8,'2030-01-15T12:03:09+00:00','Done','running','');
INSERT INTO "journal" VALUES(33,'000000000005',9,'2030-01-15T12:03:16+00:00','Ended','ended','');
INSERT INTO "journal" VALUES(34,'000000000005',10,'2030-01-15T12:03:23+00:00','Begun','staging_out','');
INSERT INTO "journal" VALUES(35,'000000000005',11,'2030-01-15T12:03:30+00:00','Done','staged_out','');
INSERT INTO "journal" VALUES(36,'000000000005',12,'2030-01-15T12:03:37+00:00','Begun','settling','');
INSERT INTO "journal" VALUES(37,'000000000005',13,'2030-01-15T12:03:44+00:00','Settled','settled','');
INSERT INTO "journal" VALUES(38,'000000000006',0,'2030-01-15T12:03:44+00:00','Declined','returning','no application');
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
CREATE INDEX ix_journal_burst ON journal (burst);
COMMIT;
