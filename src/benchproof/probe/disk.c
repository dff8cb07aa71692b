/* disk.*: a file of blocks is written and read, one after another or in random order.

   Data. Every page of 4 KiB begins with a stamp (seed, number of the page, generation, checksum of the rest), the rest is
   random: a page of a small pool, every 32 bytes of it changed by a key that no other page has. So no two pages share a run
   of bytes, nothing can be compressed, and what must be there is at hand in the nearest cache. A block is made just before it
   is written, in one buffer, as who writes has his data at hand. What is read is compared with what must be there, every byte
   of it, between the timed calls: they alone are on the clock, unless the kernel reads ahead meanwhile.

   The time of a benchmark is that of its calls together; of a policy `end`, with one fsync behind them. Where requests are
   in a queue, it is the time until all are answered; each has a buffer of its own, which is compared afterwards. */
#define _GNU_SOURCE
#include "probe.h"

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
#include <unistd.h>

#define POOL_PAGES 4u            /* they and a page that is compared are in the first cache together */
#define FILL_BYTES (1u << 20)    /* how the file of a random benchmark is made */
#define SPAN_BYTES (1u << 20)    /* of a file that is read again */
#define MOST_BLOCK_BYTES (16u << 20)
#define MOST_OPERATIONS 65536u
#define MOST_DEPTH 1024u
static const char PREFIX[] = "benchproof-disk-";

enum { OFF = 0, ON = 1, AUTO = 2 };
enum { SYNC_NONE = 0, SYNC_END = 1, SYNC_EACH = 2 };
enum { FILLED = 1, REWRITTEN = 2 }; /* generations */

struct stamp { uint64_t seed, page, generation, check; };
typedef uint64_t lanes __attribute__((vector_size(32))); /* as many bytes as a stamp */
#define PAGE_LANES (PAGE / sizeof(lanes))

static struct {
    char path[PATH_MAX];
    struct place place;
    int fd, look_fd;               /* the second is never O_DIRECT: to look at the cache */
    int random, direct;
    const char *compared;
    uint64_t blocks, operations;   /* of the file; that are timed */
    uint64_t block_of[3];          /* bytes of a block of each generation */
    unsigned char *span, *rewritten; /* the last: a bit a block */
    unsigned char *kept, *answered; /* of a queue: all that was read, and which requests have had their answer */
    uint64_t in_flight;            /* the most at once */
    uint64_t *order, *latency_ns;
    uint64_t began_ns, elapsed_ns, sync_ns, bytes, verified, wrong, first_wrong;
    int64_t resident_start;
} D;

/* ---- the data ---- */

static uint64_t mixed(uint64_t x)
{
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

static struct { lanes page[POOL_PAGES][PAGE_LANES]; uint64_t check[POOL_PAGES]; } pool;

static void make_pool(void)
{
    uint64_t x = S.seed;
    for (unsigned page = 0; page < POOL_PAGES; page++)
        for (size_t i = 1; i < PAGE_LANES; i++)
            for (int lane = 0; lane < 4; lane++) {
                uint64_t word = pool.page[page][i][lane] = mixed(x++);
                pool.check[page] = (pool.check[page] ^ word) * 0x9E3779B97F4A7C15ull;
            }
}

/* What a page must hold: its stamp, and of the pool's page each 32 bytes changed by the key. */
struct content { struct stamp stamp; lanes key; const lanes *rest; };

static struct content content_of(uint64_t page, int generation)
{
    uint64_t own = mixed(S.seed ^ mixed(page) ^ (uint64_t)generation), which = own % POOL_PAGES;
    return (struct content){ { S.seed, page, (uint64_t)generation, own ^ pool.check[which] },
                             { mixed(own), mixed(own + 1), mixed(own + 2), mixed(own + 3) }, pool.page[which] };
}

/* The bytes of a block, in the one buffer. */
static unsigned char *made(uint64_t block, int generation)
{
    uint64_t pages = D.block_of[generation] / PAGE;
    for (uint64_t i = 0; i < pages; i++) {
        struct content content = content_of(block * pages + i, generation);
        memcpy(D.span + i * PAGE, &content.stamp, sizeof content.stamp);
        for (size_t at = 1; at < PAGE_LANES; at++) {
            lanes bytes = content.rest[at] ^ content.key;
            memcpy(D.span + i * PAGE + at * sizeof bytes, &bytes, sizeof bytes);
        }
    }
    return D.span;
}

/* By vectors: the memcmp of a small C library is a loop over bytes, and reading ahead goes on while we compare. */
static void compare(const unsigned char *data, uint64_t page, int generation)
{
    struct content content = content_of(page, generation);
    lanes differs = { 0 }, bytes;
    for (size_t at = 1; at < PAGE_LANES; at++) {
        memcpy(&bytes, data + at * sizeof bytes, sizeof bytes);
        differs |= bytes ^ content.rest[at] ^ content.key;
    }
    int same = !(differs[0] | differs[1] | differs[2] | differs[3]) && !memcmp(data, &content.stamp, sizeof content.stamp);
    if (same) { D.verified++; return; }
    if (!D.wrong++) D.first_wrong = page * PAGE;
}

static int was_rewritten(uint64_t page)
{
    uint64_t block = page / (S.block / PAGE);
    return D.rewritten && (D.rewritten[block / 8] >> block % 8 & 1);
}

static void compare_pages(const unsigned char *data, uint64_t page, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) compare(data + i * PAGE, page + i, was_rewritten(page + i) ? REWRITTEN : FILLED);
}

/* ---- the file ---- */

static _Noreturn void give_up(const char *what) { int error = errno; unlink(D.path); errno = error; unsupported(what); }

static _Noreturn void broken(const char *what)
{
    int error = errno;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) give_up("no space");
    unlink(D.path);
    errno = error;
    die(what);
}

static void refuse_full(const char *folder)
{
    char reason[512];
    uint64_t free_bytes = D.place.limited ? D.place.free_bytes : UINT64_MAX, memory = memory_available() / 4 * 3;
    if (D.place.in_memory && memory < free_bytes) free_bytes = memory;
    if (S.size <= free_bytes) return;
    snprintf(reason, sizeof reason, "no space: %" PRIu64 " bytes are asked for in %.200s (%s), %" PRIu64 " are free", S.size, folder, D.place.type, free_bytes);
    not_applicable(reason);
}

static void open_file(void)
{
    const char *folder = S.dir ? S.dir : ".";
    D.place = place_of(folder);
    refuse_full(folder);
    remove_leftovers(folder, PREFIX);
    snprintf(D.path, sizeof D.path, "%.3800s/%s%d-%" PRIx64, folder, PREFIX, (int)getpid(), S.seed);
    D.fd = own_file(D.path);
    if (D.fd < 0) unsupported(D.path);
    D.look_fd = open(D.path, O_RDONLY | O_CLOEXEC);
    if (D.look_fd < 0) broken(D.path);
}

static void put_block(uint64_t block, int generation)
{
    uint64_t bytes = D.block_of[generation];
    ssize_t put = pwrite(D.fd, made(block, generation), bytes, (off_t)(block * bytes));
    if (put < 0) broken("write");
    if ((uint64_t)put != bytes) errno = ENOSPC, give_up("a write was cut short");
}

/* Some file systems refuse O_DIRECT when a file is opened, others at the first operation; some take it and do not do it,
   which the cache shows afterwards. */
static void try_direct(void)
{
    if (S.direct == OFF) return;
    int fd = open(D.path, O_RDWR | O_DIRECT | O_CLOEXEC);
    int works = fd >= 0 && pwrite(fd, made(0, FILLED), D.block_of[FILLED], 0) == (ssize_t)D.block_of[FILLED];
    if (!works) {
        if (errno == ENOSPC || S.direct == ON) give_up(errno == ENOSPC ? "no space" : "O_DIRECT");
        if (fd >= 0) close(fd);
        return;
    }
    int locked = D.fd;
    D.fd = dup3(fd, locked, O_CLOEXEC); /* the lock goes with the old file, so it is taken anew */
    close(fd);
    flock(D.fd, LOCK_EX | LOCK_NB);
    D.direct = 1;
}

static void refuse_nonsense(void)
{
    uint64_t blocks = S.block ? S.size / S.block : 0;
    if (S.block % PAGE || !blocks || S.size % S.block || S.block > MOST_BLOCK_BYTES || S.fixed_iterations > blocks ||
        !S.fixed_iterations || S.fixed_iterations > MOST_OPERATIONS || S.direct > AUTO || S.sync > SYNC_EACH) {
        fprintf(stderr, "probe: disk: --block is a multiple of 4096 up to 16 MiB, --size one of --block, --iterations up to 65536 of them\n");
        exit(64);
    }
}

static void *memory(uint64_t bytes)
{
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (found == MAP_FAILED) unsupported("memory");
    return found;
}

/* Each block at most once: the head of a shuffled list of all. */
static void choose_order(void)
{
    uint64_t x = S.seed;
    for (uint64_t i = 0; i < D.blocks; i++) D.order[i] = i;
    for (uint64_t i = 0; D.random && i < D.operations; i++) {
        uint64_t other = i + mixed(x++) % (D.blocks - i), kept = D.order[i];
        D.order[i] = D.order[other], D.order[other] = kept;
    }
    if (PLANTED == REPEAT_OFFSET && D.operations > 1) D.order[1] = D.order[0];
}

static void begin(int random)
{
    refuse_nonsense();
    D.began_ns = now_ns();
    D.random = random;
    D.blocks = S.size / S.block, D.operations = S.fixed_iterations;
    D.block_of[FILLED] = random && S.size % FILL_BYTES == 0 ? FILL_BYTES : S.block;
    D.block_of[REWRITTEN] = S.block;
    uint64_t longest = D.block_of[FILLED] > S.block ? D.block_of[FILLED] : S.block;
    D.span = memory(SPAN_BYTES > longest ? SPAN_BYTES : longest);
    D.order = memory(D.blocks * 8), D.latency_ns = memory(D.operations * 8);
    make_pool();
    choose_order();
    open_file();
    try_direct();
    put_block(0, FILLED);
    if (fsync(D.fd)) broken("fsync");
    choose_way_to_see_cache(D.look_fd, D.block_of[FILLED]);
    if (ftruncate(D.fd, 0)) broken("ftruncate");
}

static void fill(void)
{
    for (uint64_t block = 0; block < S.size / D.block_of[FILLED]; block++) put_block(block, FILLED);
    if (fsync(D.fd)) broken("fsync");
    for (int i = 0; i < 3 && resident_pages(D.look_fd, S.size); i++) evict(D.look_fd);
    D.resident_start = resident_pages(D.look_fd, S.size);
}

/* A reader of a warm cache finds all of it there. */
static void warm_up(void)
{
    for (uint64_t at = 0; at < S.size; at += S.block)
        if (pread(D.look_fd, D.span, S.block, (off_t)at) != (ssize_t)S.block) broken("read");
    D.resident_start = resident_pages(D.look_fd, S.size);
}

static void sequential_write_prepare(void) { begin(0); }

static void random_write_prepare(void)
{
    begin(1);
    D.rewritten = memory(D.blocks / 8 + 1);
    fill();
}

/* Where the kernel reads ahead, it would go on while we compare. There all that is read is kept, and compared when the last
   call has ended; where there is no room for it, comparing is on the clock. The room is made before the file is: what is
   free when the reading begins is then what its pages have left. */
static void keep_what_is_read(void)
{
    uint64_t bytes = D.operations * S.block;
    int there_is_room = bytes <= memory_available() / 2 && PLANTED != NO_ROOM;
    if (there_is_room) D.kept = memory(bytes);
    D.compared = there_is_room ? "after the timed calls" : "in the clock";
}

static void read_prepare(int random)
{
    begin(random);
    if (!D.random && !D.direct && !S.warm) keep_what_is_read();
    fill();
    if (S.warm) warm_up();
    posix_fadvise(D.fd, 0, 0, random ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
}

static void sequential_read_prepare(void) { read_prepare(0); }
static void random_read_prepare(void) { read_prepare(1); }

/* ---- the timed calls ---- */

static void write_batch(uint64_t n)
{
    int generation = D.rewritten ? REWRITTEN : FILLED;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t block = D.order[i];
        unsigned char *data = made(block, generation);
        int skipped = PLANTED == SKIP_WORK && i == n / 2;
        data[PAGE / 2] ^= PLANTED == WRONG_ANSWER && i == n / 2;
        uint64_t start = now_ns();
        ssize_t put = skipped ? (ssize_t)S.block : pwrite(D.fd, data, S.block, (off_t)(block * S.block));
        int error = put < 0 ? errno : 0, lost = S.sync == SYNC_EACH && fsync(D.fd);
        D.latency_ns[i] = now_ns() - start;
        data[PAGE / 2] ^= PLANTED == WRONG_ANSWER && i == n / 2;
        if (error) errno = error, broken("write");
        S.failures += (uint64_t)put != S.block || lost;
        D.bytes += (uint64_t)put, D.elapsed_ns += D.latency_ns[i];
        if (D.rewritten) D.rewritten[block / 8] |= (unsigned char)(1u << block % 8);
    }
    uint64_t start = now_ns();
    if (S.sync == SYNC_END) S.failures += fsync(D.fd) != 0;
    D.sync_ns = S.sync == SYNC_END ? now_ns() - start : 0;
    S.own_elapsed_ns = D.elapsed_ns += D.sync_ns;
}

static void read_batch(uint64_t n)
{
    uint64_t asked = PLANTED == SHORT_READ ? S.block / 2 : S.block, began = now_ns();
    for (uint64_t i = 0; i < n; i++) {
        unsigned char *data = D.kept ? D.kept + i * S.block : D.span;
        uint64_t block = D.order[i], start = now_ns();
        int skipped = PLANTED == SKIP_WORK && i == n / 2;
        ssize_t got = skipped ? (ssize_t)S.block : pread(D.fd, data, asked, (off_t)(block * S.block));
        D.latency_ns[i] = now_ns() - start;
        if (got < 0) broken("read");
        data[PAGE / 2] ^= PLANTED == WRONG_ANSWER && i == n / 2;
        S.failures += (uint64_t)got != S.block;
        D.bytes += (uint64_t)got, D.elapsed_ns += D.latency_ns[i];
        if (!D.kept) compare_pages(data, block * (S.block / PAGE), S.block / PAGE);
    }
    if (D.compared && !D.kept) D.elapsed_ns = now_ns() - began;
    S.own_elapsed_ns = D.elapsed_ns;
}

/* ---- a queue of requests ---- */

static void queued_read_prepare(void)
{
    read_prepare(1);
    if (!S.depth || S.depth > MOST_DEPTH) {
        unlink(D.path);
        fprintf(stderr, "probe: disk.queued_read: --depth is 1 to %u\n", MOST_DEPTH);
        exit(64);
    }
    if (D.operations * S.block > memory_available() / 2) errno = ENOMEM, give_up("a buffer for each request");
    if (ring_open((unsigned)S.depth)) give_up("io_uring_setup");
    D.kept = memory(D.operations * S.block), D.answered = memory(D.operations);
    D.compared = "after the timed calls";
}

static void take_answer(uint64_t which, int64_t got)
{
    if (which >= D.operations || D.answered[which]) { S.failures++; return; }
    D.answered[which] = 1;
    D.latency_ns[which] = now_ns() - D.latency_ns[which];
    if (got == -EINVAL || got == -EOPNOTSUPP) errno = (int)-got, give_up("a read by io_uring"); /* a ring that knows no reads */
    if (got < 0) errno = (int)-got, broken("read");
    S.failures += (uint64_t)got != S.block;
    D.bytes += (uint64_t)got;
}

static void queued_read_batch(uint64_t n)
{
    uint64_t sent = 0, done = 0, which = 0, began = now_ns();
    uint32_t asked = (uint32_t)(PLANTED == SHORT_READ ? S.block / 2 : S.block);
    while (done < n) {
        unsigned fresh = 0;
        for (; sent < n && sent - done < S.depth; sent++) {
            D.latency_ns[sent] = now_ns();
            if (PLANTED == SKIP_WORK && sent == n / 2) { take_answer(sent, (int64_t)S.block), done++; continue; }
            ring_read(D.fd, D.kept + sent * S.block, asked, D.order[sent] * S.block, sent), fresh++;
        }
        if (sent - done > D.in_flight) D.in_flight = sent - done;
        if (sent > done && ring_enter(fresh) != (int)fresh) broken("io_uring_enter");
        for (int32_t got; ring_next(&which, &got); done++) take_answer(which, got);
    }
    S.own_elapsed_ns = D.elapsed_ns = now_ns() - began;
    D.kept[n / 2 * S.block + PAGE / 2] ^= PLANTED == WRONG_ANSWER;
}

/* ---- evidence ---- */

static void report_latencies(void)
{
    say("{\"line\":\"evidence\",\"name\":\"latencies_ns\",\"value\":\"");
    for (uint64_t i = 0; i < D.operations; i++) say("%s%" PRIu64, i ? " " : "", D.latency_ns[i]);
    say("\"}\n");
}

static uint64_t distinct_offsets(void)
{
    unsigned char *seen = memory(D.blocks / 8 + 1);
    uint64_t found = 0;
    for (uint64_t i = 0; i < D.operations; i++) {
        uint64_t block = D.order[i];
        found += !(seen[block / 8] >> block % 8 & 1);
        seen[block / 8] |= (unsigned char)(1u << block % 8);
    }
    return found;
}

static void finish_common(int64_t resident_end)
{
    struct stat status = { 0 };
    fstat(D.fd, &status);
    report_place(&D.place);
    evidence_text("o_direct", D.direct ? "accepted" : S.direct == OFF ? "off" : "refused");
    evidence_text("cache_seen_by", way_to_see_cache());
    evidence_count("resident_start", D.resident_start);
    evidence_count("resident_end", resident_end);
    evidence("bytes_moved", D.bytes);
    evidence("distinct_offsets", distinct_offsets());
    evidence("pages_verified", D.verified);
    evidence("pages_wrong", D.wrong);
    if (D.wrong) evidence("first_wrong_at", D.first_wrong);
    evidence("file_bytes", (uint64_t)status.st_size);
    evidence("allocated_bytes", (uint64_t)status.st_blocks * 512);
    evidence_text("compared", D.compared ? D.compared : "between the timed calls");
    evidence("sync_ns", D.sync_ns);
    report_latencies();
    unlink(D.path);
    evidence("whole_ns", now_ns() - D.began_ns);
}

static void read_finish(void)
{
    for (uint64_t i = 0; D.kept && i < D.operations; i++)
        compare_pages(D.kept + i * S.block, D.order[i] * (S.block / PAGE), S.block / PAGE);
    finish_common(resident_pages(D.look_fd, S.size));
}

static void queued_read_finish(void)
{
    uint64_t answered = 0;
    for (uint64_t i = 0; i < D.operations; i++) answered += D.answered[i];
    evidence("answered", answered);
    evidence("in_flight", D.in_flight);
    read_finish();
}

/* What was written is read again, from the device where the cache lets go of it. */
static void write_finish(void)
{
    int64_t resident_end = resident_pages(D.look_fd, S.size);
    if (fsync(D.fd)) broken("fsync");
    evict(D.look_fd);
    evidence_count("resident_before_reread", resident_pages(D.look_fd, S.size));
    for (uint64_t at = 0; at < S.size;) {
        uint64_t wanted = S.size - at < SPAN_BYTES ? S.size - at : SPAN_BYTES;
        memset(D.span, 0, wanted);
        ssize_t got = pread(D.fd, D.span, wanted, (off_t)at);
        if (got < 0) broken("read");
        compare_pages(D.span, at / PAGE, wanted / PAGE);
        at += wanted;
    }
    finish_common(resident_end);
}

const struct benchmark DISK[] = {
    { "disk.sequential_write", sequential_write_prepare, write_batch, write_finish, 1 },
    { "disk.random_write", random_write_prepare, write_batch, write_finish, 1 },
    { "disk.sequential_read", sequential_read_prepare, read_batch, read_finish, 1 },
    { "disk.random_read", random_read_prepare, read_batch, read_finish, 1 },
    { "disk.queued_read", queued_read_prepare, queued_read_batch, queued_read_finish, 1 },
    { 0 },
};
