/* Slurm 25.11's names, as pyslurm 25.11 uses them, in terms of Slurm 24.11's headers.
 *
 * The compiler reads this before anything else (-include). The real headers come first: the macros
 * touch only the C that Cython writes, and every layout stays that of the installed headers.
 */
#ifndef BURSTD_LAB_PYSLURM_COMPAT_H
#define BURSTD_LAB_PYSLURM_COMPAT_H

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/slurm_version.h>
#include <slurm/slurmdb.h>

#if (SLURM_VERSION_NUMBER >> 8) != ((24 << 8) | 11)
#error "this is for the headers of Slurm 24.11"
#endif

extern char *slurm_xstrdup(const char *text);

/* Renamed. */
typedef uint32_t select_type_flags_t;
#define SELECT_CPU CR_CPU
#define SELECT_SOCKET CR_SOCKET
#define SELECT_CORE CR_CORE
#define SELECT_MEMORY CR_MEMORY
#define SELECT_ONE_TASK_PER_CORE CR_ONE_TASK_PER_CORE
#define SELECT_PACK_NODES CR_PACK_NODES
#define SELECT_CORE_DEFAULT_DIST_BLOCK CR_CORE_DEFAULT_DIST_BLOCK
#define SELECT_LLN CR_LLN
#define epilog_timeout prolog_epilog_timeout
#define prolog_timeout prolog_epilog_timeout
#define namespace_plugin job_container_plugin

/* Not there yet: a flag that no job has, a path without its patterns filled in. */
#define SPREAD_SEGMENTS ((uint64_t) 0)
#define CONSOLIDATE_SEGMENTS ((uint64_t) 0)
#define slurmdb_expand_job_stdio_fields(path, job) slurm_xstrdup(path)
#define slurmdb_expand_step_stdio_fields(path, step) slurm_xstrdup(path)
#define slurm_expand_step_stdio_fields(path, step) slurm_xstrdup(path)

/* Steps are named by two numbers, not by one struct. */
#define slurm_get_job_steps(id, response, flags) \
	(slurm_get_job_steps)((time_t) 0, (id)->job_id, (id)->step_id, (response), (flags))
#define slurm_signal_job_step(id, signal) \
	(slurm_signal_job_step)((id)->job_id, (id)->step_id, (signal))
#define slurm_kill_job_step(id, signal, flags) \
	(slurm_kill_job_step)((id)->job_id, (id)->step_id, (signal), (flags))

/* Members that lie elsewhere: the patch makes pyslurm ask these. */
static inline void compat_name_job(job_desc_msg_t *job, uint32_t id)
{
	job->job_id = id;
}

static inline uint32_t compat_submitted(submit_response_msg_t *response)
{
	return response->job_id;
}

static inline void compat_name_step(step_update_request_msg_t *update, slurm_step_id_t *step)
{
	update->job_id = step->job_id;
	update->step_id = step->step_id;
}

static inline uint64_t compat_alloc_memory(node_info_t *node)
{
	uint64_t value = 0;

	if (node->select_nodeinfo)
		slurm_get_select_nodeinfo(node->select_nodeinfo, SELECT_NODEDATA_MEM_ALLOC,
					  NODE_STATE_ALLOCATED, &value);
	return value;
}

static inline char *compat_alloc_tres(node_info_t *node)
{
	char *value = NULL;

	if (node->select_nodeinfo)
		slurm_get_select_nodeinfo(node->select_nodeinfo,
					  SELECT_NODEDATA_TRES_ALLOC_FMT_STR,
					  NODE_STATE_ALLOCATED, &value);
	return value;
}

static inline uint16_t compat_alloc_cpus(node_info_t *node)
{
	uint16_t value = 0;

	if (node->select_nodeinfo)
		slurm_get_select_nodeinfo(node->select_nodeinfo, SELECT_NODEDATA_SUBCNT,
					  NODE_STATE_ALLOCATED, &value);
	return value;
}

#endif
