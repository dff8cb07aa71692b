/* Operations that need a capability: the probe keeps exactly that one, and works in a namespace of its own. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS_MAGIC 0x01021994

/* mount.tmpfs: an empty file system comes and goes; an unmount succeeds only where something was mounted */

static struct stat bare;

static void mount_prepare(void)
{
    static const char *const places[] = { ".", "/tmp", "/dev/shm", "/run" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(S.path, sizeof S.path, "%s/benchproof-mount-%d", places[i], (int)getpid());
        if (mkdir(S.path, 0700) == 0 && stat(S.path, &bare) == 0) break;
        S.path[0] = 0;
    }
    if (!*S.path) unsupported("no folder that can be written to");
    if (mount("none", S.path, "tmpfs", 0, NULL) || umount2(S.path, 0)) {
        int why = errno;
        rmdir(S.path);
        errno = why;
        unsupported("mount of a tmpfs");
    }
}

static int mount_one(void) { return PLANTED == SKIP_WORK ? 0 : mount("none", S.path, PLANTED == WRONG_ANSWER ? "ramfs" : "tmpfs", 0, NULL); }

static void mount_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        S.failures += mount_one() != 0;
        S.failures += umount2(S.path, 0) != 0;
        S.sum++;
    }
}

static uint64_t type_of(const char *path)
{
    struct statfs found;
    return statfs(path, &found) ? 0 : (uint64_t)(uint32_t)found.f_type;
}

/* One mount more, with a file in it: what is there while it is mounted, and what is left. */
static void mount_finish(void)
{
    struct stat now;
    uint64_t before = type_of(S.path);
    int mounted = mount_one() == 0;
    evidence_text("mounted_type", type_of(S.path) == TMPFS_MAGIC ? "tmpfs" : "another");
    evidence("mounted_apart", mounted && stat(S.path, &now) == 0 && now.st_dev != bare.st_dev);
    if (mounted) umount2(S.path, 0);
    evidence("gone", type_of(S.path) == before && stat(S.path, &now) == 0 && now.st_dev == bare.st_dev && now.st_ino == bare.st_ino);
    rmdir(S.path);
    evidence("mounts", S.sum);
}

const struct benchmark PRIVILEGED[] = {
    { "mount.tmpfs", mount_prepare, mount_batch, mount_finish, 1 },
    { 0 },
};
