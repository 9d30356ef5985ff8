/*
 * SPANK plugin for proxy nodes: a batch job that starts here is a stand-in, so burst-agent runs in
 * place of its script, as the job's user, in its directory, with its environment and arguments.
 *
 * plugstack.conf on the proxy node, and on no other:
 *     required burst_spank.so agent=/usr/bin/burst-agent keep=/usr/local/bin/burst-keep
 *
 * User code never runs on a proxy node, whatever is wrong: while the agent is missing the job
 * waits; a step or an interactive job is refused. spank(8), slurm_spank_task_init: runs as the
 * user, just before the task's execve.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slurm/spank.h>

SPANK_PLUGIN(burst, 1);

#define BATCH_STEP 0xfffffffbU /* slurm.h: SLURM_BATCH_SCRIPT */
#define RETRY_SECONDS 10

static const char *option(int count, char **options, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (int i = 0; i < count; i++)
        if (strncmp(options[i], name, length) == 0) return options[i] + length;
    return otherwise;
}

/* What would let the user's own code into the agent: loaders, interpreters, allocators. */
static int is_ours(const char *variable) {
    static const char *const theirs[] = {"LD_", "PYTHON", "BASH_ENV=", "ENV=", "GCONV_PATH=",
                                         "GLIBC_TUNABLES=", "OPENSSL_", "MALLOC_", "BURST_AGENT_", "BURSTD_",
                                         NULL};
    for (int i = 0; theirs[i] != NULL; i++)
        if (strncmp(variable, theirs[i], strlen(theirs[i])) == 0) return 0;
    return 1;
}

static char **clean(char **environment) {
    size_t count = 0, kept = 0;
    while (environment[count] != NULL) count++;
    char **result = calloc(count + 3, sizeof *result);
    if (result == NULL) _exit(1);
    for (size_t i = 0; i < count; i++)
        if (is_ours(environment[i])) result[kept++] = environment[i];
    result[kept++] = "PYTHONNOUSERSITE=1";
    result[kept] = "PYTHONUTF8=1"; /* names are bytes, whatever the job's locale is */
    return result;
}

int slurm_spank_task_init(spank_t spank, int option_count, char **options) {
    uint32_t step = 0;
    int argc = 0;
    char **argv = NULL, **environment = NULL;

    if (spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS || step != BATCH_STEP) {
        dprintf(2, "burstd: partition of stand-ins: only batch jobs may come here\n");
        _exit(1);
    }
    if (spank_get_item(spank, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_ENV, &environment) != ESPANK_SUCCESS) {
        dprintf(2, "burstd: Slurm does not say what to run\n");
        _exit(1);
    }
    const char *agent = option(option_count, options, "agent=", "/usr/bin/burst-agent");
    const char *keep = option(option_count, options, "keep=", "/usr/local/bin/burst-keep");
    char **words = calloc((size_t)argc + 3, sizeof *words);
    if (words == NULL) _exit(1);
    words[0] = (char *)keep;
    words[1] = (char *)agent;
    memcpy(words + 2, argv, (size_t)argc * sizeof *argv);

    environment = clean(environment);

    for (int said = 0;; sleep(RETRY_SECONDS)) {
        execve(keep, words, environment);
        if (said++ == 0)
            dprintf(2, "burstd: %s: %s; this job waits until an administrator mends it\n", keep,
                    strerror(errno));
    }
}
