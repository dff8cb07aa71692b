/* On what a folder lies, what of a file is in the page cache, and whose file it is. A way to look at the cache is believed only when it
   was seen to say both: that a page which was just read is there, and that one which was evicted is not. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYS_CACHESTAT 451 /* since Linux 6.5; headers may be older */
enum { TRIES = 3 };

/* ---- the mount ---- */

static const char *const IN_MEMORY[] = { "tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs", NULL };
static const char *const MEMORY_DEVICES[] = { "/dev/ram", "/dev/zram", NULL };
static const char *const BY_OTHERS[] = { "overlay", "9p", "virtiofs", "fuse", "nfs", "cifs", "gofer", "lisafs", "ceph", NULL };

static int begins_with_any(const char *text, const char *const *beginnings)
{
    for (const char *const *each = beginnings; *each; each++)
        if (!strncmp(text, *each, strlen(*each))) return 1;
    return 0;
}

/* A line of mountinfo: id parent major:minor root MOUNTPOINT OPTIONS [tags] - TYPE SOURCE SUPEROPTIONS */
static int read_mount(char *line, struct place *found, char mountpoint[PATH_MAX])
{
    char options[256] = "", super[256] = "";
    char *dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s %255s", mountpoint, options) != 2) return 0;
    if (sscanf(dash + 3, "%63s %255s %255s", found->type, found->source, super) < 2) return 0;
    found->read_only = !strncmp(options, "ro", 2) && (options[2] == ',' || !options[2]);
    found->read_only |= !strncmp(super, "ro", 2) && (super[2] == ',' || !super[2]);
    return 1;
}

static int lies_under(const char *path, const char *mountpoint)
{
    size_t size = strlen(mountpoint);
    if (!strcmp(mountpoint, "/")) return 1;
    return !strncmp(path, mountpoint, size) && (path[size] == '/' || !path[size]);
}

/* The last mount that the path lies under is what is seen there: a later one hides an earlier. */
static void find_mount(const char *path, struct place *place)
{
    static char line[8192], mountpoint[PATH_MAX];
    size_t longest = 0;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    strcpy(place->type, "unknown"), strcpy(place->source, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        struct place each = { 0 };
        if (!read_mount(line, &each, mountpoint) || !lies_under(path, mountpoint) || strlen(mountpoint) < longest) continue;
        longest = strlen(mountpoint);
        each.free_bytes = place->free_bytes, each.block_bytes = place->block_bytes, each.limited = place->limited;
        *place = each;
    }
    if (file) fclose(file);
}

struct place place_of(const char *folder)
{
    static char path[PATH_MAX];
    struct place place = { 0 };
    struct statvfs fs;
    if (!realpath(folder, path) || statvfs(path, &fs)) unsupported(folder);
    place.limited = fs.f_blocks != 0;
    place.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    place.block_bytes = fs.f_bsize;
    find_mount(path, &place);
    place.read_only |= (fs.f_flag & ST_RDONLY) != 0;
    place.in_memory = begins_with_any(place.type, IN_MEMORY) || begins_with_any(place.source, MEMORY_DEVICES);
    place.by_others = begins_with_any(place.type, BY_OTHERS) || strncmp(place.source, "/dev/", 5) != 0;
    for (char *text = place.type, *end = text + sizeof place.type; text < end && *text; text++) if (strchr("\"\\", *text)) *text = '?';
    for (char *text = place.source, *end = text + sizeof place.source; text < end && *text; text++) if (strchr("\"\\", *text)) *text = '?';
    return place;
}

void report_place(const struct place *place)
{
    evidence_text("filesystem", place->type);
    evidence_text("device", place->source);
    evidence_text("mounted", place->read_only ? "ro" : "rw");
    evidence_text("storage", place->in_memory ? "memory" : place->by_others ? "unknown" : "disk");
    evidence("filesystem_block_bytes", place->block_bytes);
}

uint64_t memory_available(void)
{
    char text[64];
    first_line_with("/proc/meminfo", "MemAvailable", text, sizeof text);
    return *text ? strtoull(text, NULL, 10) << 10 : UINT64_MAX;
}

/* ---- the page cache ---- */

static int64_t by_cachestat(int fd, uint64_t size)
{
    struct { uint64_t from, size; } range = { 0, size };
    struct { uint64_t cached, dirty, writeback, evicted, recently; } found = { 0 };
    return syscall(SYS_CACHESTAT, fd, &range, &found, 0) ? -1 : (int64_t)found.cached;
}

/* Where a file is neither ours nor writable, the kernel says of every page that it is there. */
static int64_t by_mincore(int fd, uint64_t size)
{
    enum { PAGES = 8192 };
    unsigned char there[PAGES];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), step = PAGES * page;
    int64_t found = 0;
    for (uint64_t at = 0; at < size; at += step) {
        uint64_t length = size - at < step ? size - at : step;
        void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)at);
        if (map == MAP_FAILED) return -1;
        int trouble = mincore(map, length, there);
        munmap(map, length);
        if (trouble) return -1;
        for (uint64_t i = 0; i < (length + page - 1) / page; i++) found += there[i] & 1;
    }
    return found;
}

static const struct { const char *name; int64_t (*ask)(int fd, uint64_t size); } WAYS[] = {
    { "cachestat", by_cachestat }, { "mincore", by_mincore },
};
static int way = -1;

int64_t resident_pages(int fd, uint64_t size) { return way < 0 ? -1 : PLANTED == CACHE_LIE ? 0 : WAYS[way].ask(fd, size); }

void evict(int fd)
{
    if (PLANTED == KEEP_CACHE) return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* After a page is read it must be there, and gone when it was evicted: the first way that says so is used. */
void choose_way_to_see_cache(int fd, uint64_t size)
{
    static unsigned char page[PAGE];
    if (way < 0) fdatasync(fd); /* what is dirty is not let go */
    for (int each = 0; each < (int)(sizeof WAYS / sizeof *WAYS) && way < 0; each++) {
        for (int i = 0; i < TRIES && way < 0; i++) {
            if (pread(fd, page, sizeof page, 0) < 1) return;
            way = each; /* for resident_pages */
            int seen = resident_pages(fd, size) > 0;
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            if (!seen || resident_pages(fd, size) != 0) way = -1;
            if (PLANTED == KEEP_CACHE && pread(fd, page, sizeof page, 0) < 1) return;
        }
    }
}

const char *way_to_see_cache(void) { return way < 0 ? "none" : WAYS[way].name; }

void evidence_count(const char *name, int64_t count)
{
    if (count < 0) evidence_text(name, "unknown");
    else evidence(name, (uint64_t)count);
}

int own_file(const char *path)
{
    struct stat found;
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) return -1;
        if (flock(fd, LOCK_EX)) return fd; /* a system without locks has nobody who looks for them */
        if (!fstat(fd, &found) && found.st_nlink) return fd;
        close(fd); /* it was swept away before it was locked */
    }
    errno = EBUSY;
    return -1;
}

void remove_leftovers(const char *folder, const char *prefix)
{
    char path[PATH_MAX];
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; open_folder && (entry = readdir(open_folder));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix))) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path);
        if (fd >= 0) close(fd);
    }
    if (open_folder) closedir(open_folder);
}
