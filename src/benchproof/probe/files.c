/* A file on a tmpfs: looked up, opened, read again, mapped. No disk is behind it. */

#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS_MAGIC 0x01021994
static const char PREFIX[] = "benchproof-probe-";
#define FILE_BYTES 4242u          /* size of the file that stat and open_close look at */

/* syscall.stat, syscall.open_close: a file of known size and content on a tmpfs */

static void make_file(void)
{
    const char *places[] = { S.dir, getenv("BENCHPROOF_TMPFS"), "/dev/shm", "/tmp", "/run" };
    struct statfs fs;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i] || statfs(places[i], &fs) || (uint32_t)fs.f_type != TMPFS_MAGIC) continue;
        if (chdir(places[i])) continue; /* a path of one component, wherever the tmpfs is */
        remove_leftovers(".", PREFIX);
        snprintf(S.path, sizeof S.path, "%s%d", PREFIX, (int)getpid());
        int fd = own_file(S.path); /* stays open, for its lock */
        if (fd < 0) continue;
        char content[FILE_BYTES];
        memset(content, 'b', sizeof content);
        write_all(fd, content, sizeof content - (PLANTED == WRONG_ANSWER));
        return;
    }
    errno = ENOENT;
    unsupported("no writable tmpfs at /dev/shm, /tmp or /run");
}

static void stat_prepare(void)
{
    make_file();
    if (PLANTED == SKIP_WORK) unlink(S.path);
}

static void stat_batch(uint64_t n)
{
    struct stat status = { 0 };
    for (uint64_t i = 0; i < n; i++) {
        S.failures += stat(S.path, &status) != 0;
        S.sum += (uint64_t)status.st_size;
    }
}

static void stat_finish(void)
{
    unlink(S.path);
    evidence("size_sum", S.sum);
}

static void open_close_prepare(void)
{
    make_file();
    if ((S.fd = open("/dev/null", O_RDONLY)) < 0) die("/dev/null");
    close(S.fd); /* S.fd: the number that every open must get */
    if (PLANTED == SKIP_WORK) unlink(S.path);
}

static void open_close_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        int fd = open(S.path, O_RDONLY);
        S.failures += fd != S.fd;
        S.failures += close(fd) != 0;
    }
}

static void open_close_finish(void)
{
    char content[FILE_BYTES + 1] = "";
    int fd = open(S.path, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, content, sizeof content);
    unlink(S.path);
    evidence("descriptors_left_open", (uint64_t)(fd < 0 ? 0 : fd - S.fd));
    evidence("content_crc32", crc32_of(0, content, size > 0 ? (size_t)size : 0));
}

/* file.reread, file.map_read: a file of numbered words that was just written, and so is in memory */

#define READ_BYTES 65536u
#define REREAD_BYTES (1u << 20)   /* sixteen reads, one file.map_read mapping */
#define MAP_PAGES (REREAD_BYTES / PAGE)

static uint64_t word_of_file(uint64_t number) { return (number + 1) * 0x9E3779B97F4A7C15ull; }

static void words_prepare(void)
{
    static uint64_t words[READ_BYTES / 8];
    make_file();
    if ((S.fd = open(S.path, O_RDWR | O_TRUNC)) < 0) die(S.path);
    for (uint64_t at = 0; at < REREAD_BYTES; at += READ_BYTES) {
        for (uint64_t i = 0; i < READ_BYTES / 8; i++) words[i] = word_of_file(at / 8 + i);
        if (PLANTED == WRONG_ANSWER && at == READ_BYTES) words[512] ^= 1; /* the first word of a page */
        write_all(S.fd, words, sizeof words);
    }
}

static void reread_batch(uint64_t n)
{
    static uint64_t words[READ_BYTES / 8];
    for (uint64_t i = 0; i < n; i++) {
        off_t at = (off_t)(i * READ_BYTES % REREAD_BYTES);
        if (PLANTED != SKIP_WORK || i % 2 == 0) S.failures += pread(S.fd, words, sizeof words, at) != (ssize_t)sizeof words;
        for (size_t word = 0; word < READ_BYTES / 8; word++) S.sum += words[word];
    }
}

static void reread_finish(void)
{
    unlink(S.path);
    evidence("word_sum", S.sum);
}

static void map_read_batch(uint64_t n)
{
    for (uint64_t done = 0; done < n; done += MAP_PAGES) {
        volatile uint64_t *words = mmap(NULL, REREAD_BYTES, PROT_READ, MAP_SHARED, S.fd, 0);
        if (words == MAP_FAILED) { S.failures += n - done; return; }
        for (uint64_t page = 0; page < MAP_PAGES; page++)
            if (PLANTED != SKIP_WORK || page != MAP_PAGES / 2) S.sum += words[page * PAGE / 8];
        S.failures += munmap((void *)(uintptr_t)words, REREAD_BYTES) != 0;
    }
}

static void map_read_finish(void)
{
    unlink(S.path);
    evidence("first_word_sum", S.sum);
}

const struct benchmark FILES[] = {
    { "syscall.stat", stat_prepare, stat_batch, stat_finish, 1 },
    { "syscall.open_close", open_close_prepare, open_close_batch, open_close_finish, 1 },
    { "file.reread", words_prepare, reread_batch, reread_finish, REREAD_BYTES / READ_BYTES },
    { "file.map_read", words_prepare, map_read_batch, map_read_finish, MAP_PAGES },
    { 0 },
};
