/* rootfs.*: the largest files under a folder of a file system that is not ours, read whole or at random.

   What they hold is not known beforehand: so everything is read a second time, from the device again where the cache
   lets go of it, and must be the same. Of random reads each page must be what it is in the pass from end to end. */
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
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 256, MOST_ENTRIES = 300000, MOST_DEPTH = 32, MOST_READS = 65536, SHARES = 16, BLOCK_BYTES = 1 << 20 };

struct file { char *path; uint64_t size, used, inode; int fd; };

static struct {
    struct place place;
    dev_t device;
    struct file *files;          /* candidates, then those that are read, the largest first */
    size_t count, room, entries, kept_in_cache;
    uint64_t bytes, pages, reads, bytes_read, verified, wrong, first_hash, second_hash;
    uint64_t began_ns, elapsed_ns, *order, *latency_ns, *hash_of;
    uint32_t *read_of_page;      /* which read took it, from 1; 0: none */
    unsigned char *block;
    int64_t resident_start;
    int random;
} R;

static void *memory(uint64_t bytes)
{
    void *found = calloc(1, bytes ? bytes : 1);
    if (!found) unsupported("memory");
    return found;
}

static uint64_t turned(uint64_t x, int by) { return x << by | x >> (64 - by); }

/* Not for enemies: tells a page that was not read, or not the right one. Four sums, so that a processor does them at once. */
static uint64_t hash(uint64_t seed, const unsigned char *data, size_t size)
{
    const uint64_t odd = 0x9E3779B185EBCA87ull;
    uint64_t sums[4] = { seed, seed ^ odd, ~seed, seed + size };
    for (; size >= 32; data += 32, size -= 32) {
        uint64_t words[4];
        memcpy(words, data, 32);
        for (int i = 0; i < 4; i++) sums[i] = turned((sums[i] ^ words[i]) * odd, 29);
    }
    uint64_t rest[4] = { 0 };
    memcpy(rest, data, size);
    for (int i = 0; i < 4; i++) sums[i] = turned((sums[i] ^ rest[i]) * odd, 29);
    return ((sums[0] * odd ^ sums[1]) * odd ^ sums[2]) * odd ^ sums[3];
}

/* ---- which files ---- */

static void consider(const char *path, const struct stat *status)
{
    if (!S_ISREG(status->st_mode) || status->st_size < (off_t)PAGE) return;
    if (R.count == R.room) {
        R.room = R.room ? 2 * R.room : 1024;
        R.files = realloc(R.files, R.room * sizeof *R.files);
        if (!R.files) unsupported("memory");
    }
    R.files[R.count] = (struct file){ strdup(path), (uint64_t)status->st_size, 0, status->st_ino, -1 };
    R.count += R.files[R.count].path != NULL;
}

/* A folder of another device is another file system; of files an overlay tells other devices than its own. */
static void walk(const char *folder, int depth)
{
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; open_folder && depth < MOST_DEPTH && R.entries < MOST_ENTRIES && (entry = readdir(open_folder));) {
        char path[PATH_MAX];
        struct stat status;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        int size = snprintf(path, sizeof path, "%s/%s", strcmp(folder, "/") ? folder : "", entry->d_name);
        if (size >= (int)sizeof path || lstat(path, &status)) continue;
        R.entries++;
        if (S_ISDIR(status.st_mode) && status.st_dev == R.device) walk(path, depth + 1);
        else consider(path, &status);
    }
    if (open_folder) closedir(open_folder);
}

/* The largest first; of equal ones by path, so that the list is the same on the same root. */
static int by_size(const void *one, const void *other)
{
    const struct file *a = one, *b = other;
    return a->size != b->size ? (a->size < b->size ? 1 : -1) : strcmp(a->path, b->path);
}

static int let_go(struct file *file)
{
    fdatasync(file->fd); /* what was just installed is not let go before it is written */
    for (int i = 0; i < 3 && resident_pages(file->fd, file->size); i++) evict(file->fd);
    return resident_pages(file->fd, file->size) == 0;
}

/* Opens files until `S.size` bytes are found, at most a sixteenth of them in one. With `evictable`, none that the cache keeps, as of a library in use. */
static size_t select_files(struct file *chosen, int evictable)
{
    size_t count = 0;
    R.bytes = 0;
    for (size_t i = 0; i < R.count && count < MOST_FILES && R.bytes < S.size; i++) {
        struct file *file = &R.files[i];
        if (count && chosen[count - 1].inode == file->inode) continue; /* the same by another name */
        if (file->fd < 0) file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (file->fd < 0) continue;
        choose_way_to_see_cache(file->fd, file->size);
        if (evictable && !let_go(file)) { R.kept_in_cache++, close(file->fd), file->fd = -1; continue; }
        uint64_t share = S.size / SHARES > BLOCK_BYTES ? S.size / SHARES : BLOCK_BYTES;
        uint64_t wanted = S.size - R.bytes < share ? S.size - R.bytes : share;
        file->used = file->size < wanted ? file->size : wanted;
        chosen[count++] = *file, R.bytes += file->used;
    }
    return count;
}

static void choose_files(const char *folder)
{
    static const char *const WAY = "has no files to read: a root file system that holds some is needed";
    struct stat status;
    char reason[512];
    struct file *chosen = memory(MOST_FILES * sizeof *chosen);
    if (stat(folder, &status)) unsupported(folder);
    R.device = status.st_dev;
    walk(folder, 0);
    if (R.count) qsort(R.files, R.count, sizeof *R.files, by_size);
    uint64_t all = 0;
    for (size_t i = 0; i < R.count; i++) all += R.files[i].size < S.size / SHARES ? R.files[i].size : S.size / SHARES;
    size_t count = select_files(chosen, !S.warm);
    if (R.bytes < (all < S.size ? all : S.size) / 2) { /* hardly any can be evicted: then all of them, and they are warm */
        for (size_t i = 0; i < R.count; i++) if (R.files[i].fd >= 0) close(R.files[i].fd), R.files[i].fd = -1;
        count = select_files(chosen, 0);
    }
    if (R.bytes < BLOCK_BYTES) {
        snprintf(reason, sizeof reason, "%.200s (%s) %s", folder, R.place.type, WAY);
        not_applicable(reason);
    }
    R.files = chosen, R.count = count;
}

/* ---- reading ---- */

static int64_t resident(void)
{
    int64_t found = 0;
    for (size_t i = 0; i < R.count; i++) {
        int64_t each = resident_pages(R.files[i].fd, R.files[i].used);
        if (each < 0) return -1;
        found += each;
    }
    return found;
}

static void evict_all(void)
{
    for (size_t i = 0; i < R.count; i++) evict(R.files[i].fd);
}

static ssize_t read_block(const struct file *file, uint64_t at, uint64_t size)
{
    ssize_t got = pread(file->fd, R.block, size, (off_t)at);
    if (got < 0) die(file->path);
    return got;
}

/* A page that was read at random is what it is here. */
static void compare_pages(uint64_t first_page, uint64_t size)
{
    for (uint64_t at = 0; at + PAGE <= size; at += PAGE) {
        uint32_t read = R.read_of_page[first_page + at / PAGE];
        if (!read) continue;
        if (hash(0, R.block + at, PAGE) == R.hash_of[read - 1]) R.verified++;
        else R.wrong++;
    }
}

/* All of it from end to end, outside of any clock; the pages of a file begin where those of the one before it end. */
static uint64_t second_pass(void)
{
    uint64_t sum = 0, page = 0;
    for (size_t i = 0; i < R.count; i++) {
        for (uint64_t at = 0; at < R.files[i].used; at += BLOCK_BYTES) {
            uint64_t wanted = R.files[i].used - at < BLOCK_BYTES ? R.files[i].used - at : BLOCK_BYTES;
            memset(R.block, 0, wanted);
            read_block(&R.files[i], at, wanted);
            sum = hash(sum, R.block, wanted);
            if (R.read_of_page) compare_pages(page + at / PAGE, wanted);
        }
        page += R.files[i].used / PAGE;
    }
    return sum;
}

static void begin(int random)
{
    const char *folder = S.dir ? S.dir : "/usr";
    R.began_ns = now_ns(), R.random = random;
    R.place = place_of(folder);
    R.block = memory(BLOCK_BYTES);
    choose_files(folder);
    for (size_t i = 0; i < R.count; i++) {
        R.pages += R.files[i].used / PAGE;
        posix_fadvise(R.files[i].fd, 0, 0, random ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
    }
    if (S.warm) (void)second_pass();
    R.resident_start = resident();
}

static void sequential_prepare(void) { begin(0); }

/* Where the kernel reads ahead, it goes on while the sum is made: then that is on the clock, or it would be given away. */
static void sequential_batch(uint64_t n)
{
    uint64_t began = now_ns(), calls_ns = 0;
    for (size_t i = 0; n && i < R.count; i++)
        for (uint64_t at = 0; at < R.files[i].used; at += BLOCK_BYTES) {
            uint64_t wanted = R.files[i].used - at < BLOCK_BYTES ? R.files[i].used - at : BLOCK_BYTES;
            uint64_t start = now_ns();
            int skipped = PLANTED == SKIP_WORK && i == R.count - 1;
            ssize_t got = skipped ? (ssize_t)wanted : read_block(&R.files[i], at, PLANTED == SHORT_READ ? wanted / 2 : wanted);
            calls_ns += now_ns() - start;
            R.block[wanted / 2] ^= PLANTED == WRONG_ANSWER && i == 0;
            S.failures += (uint64_t)got != wanted;
            R.bytes_read += (uint64_t)got, R.reads++;
            R.first_hash = hash(R.first_hash, R.block, wanted);
        }
    S.own_elapsed_ns = R.elapsed_ns = S.warm ? calls_ns : now_ns() - began;
}

static void random_prepare(void)
{
    begin(1);
    uint64_t x = S.seed;
    R.order = memory(R.pages * 8), R.read_of_page = memory(R.pages * 4 + 4);
    R.latency_ns = memory(MOST_READS * 8), R.hash_of = memory(MOST_READS * 8);
    if (S.fixed_iterations > MOST_READS || !S.fixed_iterations) { errno = EINVAL; die("--iterations is 1 to 65536"); }
    for (uint64_t i = 0; i < R.pages; i++) R.order[i] = i;
    for (uint64_t i = 0; i < R.pages; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t other = i + (x >> 33) % (R.pages - i), kept = R.order[i];
        R.order[i] = R.order[other], R.order[other] = kept;
    }
    if (PLANTED == REPEAT_OFFSET && R.pages > 1) R.order[1] = R.order[0];
}

static const struct file *file_of(uint64_t page, uint64_t *at)
{
    for (size_t i = 0; i < R.count; page -= R.files[i++].used / PAGE)
        if (page < R.files[i].used / PAGE) { *at = page * PAGE; return &R.files[i]; }
    errno = EINVAL;
    die("no such page");
}

static void random_batch(uint64_t n)
{
    R.reads = n < R.pages ? n : R.pages;
    for (uint64_t i = 0; i < R.reads; i++) {
        uint64_t at = 0;
        const struct file *file = file_of(R.order[i], &at);
        int skipped = PLANTED == SKIP_WORK && i == R.reads / 2;
        uint64_t start = now_ns();
        ssize_t got = skipped ? (ssize_t)PAGE : read_block(file, at, PLANTED == SHORT_READ ? PAGE / 2 : PAGE);
        R.latency_ns[i] = now_ns() - start;
        R.block[7] ^= PLANTED == WRONG_ANSWER && i == R.reads / 2;
        S.failures += got != (ssize_t)PAGE;
        R.bytes_read += (uint64_t)got, R.elapsed_ns += R.latency_ns[i];
        R.hash_of[i] = hash(0, R.block, PAGE);
        R.read_of_page[R.order[i]] = (uint32_t)i + 1;
    }
    S.own_elapsed_ns = R.elapsed_ns;
}

/* ---- evidence ---- */

static void report_files(void)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < R.count; i++) {
        char size[32];
        int digits = snprintf(size, sizeof size, " %" PRIu64 "\n", R.files[i].size);
        crc = crc32_of(crc32_of(crc, R.files[i].path, strlen(R.files[i].path)), size, (size_t)digits);
    }
    evidence("files", R.count);
    evidence("files_kept_in_cache", R.kept_in_cache);
    evidence("list_crc32", crc);
}

static void finish(void)
{
    const char *folder = S.dir ? S.dir : "/usr";
    report_place(&R.place);
    evidence_text("write_access", access(folder, W_OK) == 0 ? "granted" : errno == EROFS ? "read-only file system" : "denied");
    report_files();
    evidence_text("cache_seen_by", way_to_see_cache());
    evidence_count("resident_start", R.resident_start);
    evidence_count("resident_end", resident());
    evict_all();
    R.second_hash = second_pass();
    evidence("bytes", R.bytes);
    evidence("bytes_read", R.bytes_read);
    evidence("reads", R.reads);
    evidence_text("compared", R.random || S.warm ? "between the timed calls" : "in the clock");
}

static void sequential_finish(void)
{
    finish();
    evidence("hash_first", R.first_hash);
    evidence("hash_second", R.second_hash);
    evidence("whole_ns", now_ns() - R.began_ns);
}

static void random_finish(void)
{
    uint64_t distinct = 0;
    finish();
    for (uint64_t page = 0; page < R.pages; page++) distinct += R.read_of_page[page] != 0;
    evidence("distinct_offsets", distinct);
    evidence("pages_verified", R.verified);
    evidence("pages_wrong", R.wrong);
    say("{\"line\":\"evidence\",\"name\":\"latencies_ns\",\"value\":\"");
    for (uint64_t i = 0; i < R.reads; i++) say("%s%" PRIu64, i ? " " : "", R.latency_ns[i]);
    say("\"}\n");
    evidence("whole_ns", now_ns() - R.began_ns);
}

const struct benchmark ROOTFS[] = {
    { "rootfs.sequential_read", sequential_prepare, sequential_batch, sequential_finish, 1 },
    { "rootfs.random_read", random_prepare, random_batch, random_finish, 1 },
    { 0 },
};
