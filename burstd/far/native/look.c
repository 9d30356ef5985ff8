/* What is known of files without reading them, many in one call; see files.c. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int is_of_the_tree(const char *name) {
    return strcmp(name, ".") && strcmp(name, "..");
}

/* One name, or "" for none, instead of all others. */
static int64_t only(char *names, const char *name, int error) {
    size_t size = strlen(name) + 1;
    memcpy(names, name, size);
    names[size] = '\0';
    return -error;
}

/* As burst_list; `room` for all but the last byte. */
static int64_t listed(DIR *directory, char *names, size_t room, int64_t *facts, size_t most) {
    size_t used = 0, count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry && errno)
            return only(names, "", errno);
        if (!entry) {
            names[used] = '\0';
            return count ? (int64_t)count : only(names, "", 0);
        }
        size_t size = strlen(entry->d_name) + 1;
        if (!is_of_the_tree(entry->d_name))
            continue;
        if (room - used < size || count == most)
            return -ERANGE;
        struct stat seen;
        if (fstatat(dirfd(directory), entry->d_name, &seen, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT) /* it went away just then */
                continue;
            return only(names, entry->d_name, errno);
        }
        memcpy(names + used, entry->d_name, size);
        int64_t *fact = facts + SEEN * count++;
        fact[0] = seen.st_mode;
        fact[1] = seen.st_size;
        fact[2] = moment(seen.st_mtim);
        fact[3] = (int64_t)seen.st_ino;
        used += size;
    }
}

int64_t burst_list(const char *path, char *names, size_t room, int64_t *facts, size_t most) {
    DIR *directory = opendir(path);
    if (!directory)
        return only(names, "", errno);
    int64_t found = listed(directory, names, room - 1, facts, most);
    closedir(directory);
    return found;
}

size_t burst_readable(const char *paths, size_t count) {
    for (size_t i = 0; i < count; i++, paths += strlen(paths) + 1)
        if (access(paths, R_OK) && (errno == EACCES || errno == EPERM))
            return i;
    return count;
}

void burst_stamps(const char *paths, size_t count, int opened, int64_t *stamps) {
    for (size_t i = 0; i < count; i++, paths += strlen(paths) + 1) {
        int64_t *stamp = stamps + STAMP * i;
        struct stat seen;
        int fd = opened ? open(paths, O_RDONLY | O_CLOEXEC) : -1;
        int failed = opened ? fd < 0 || fstat(fd, &seen) : stat(paths, &seen);
        if (failed)
            stamp[0] = -errno;
        else
            stamp_of(&seen, stamp);
        if (fd >= 0)
            close(fd);
    }
}
