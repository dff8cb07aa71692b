/* What is shared by probe.c (measuring), primitives.c and its like (what is measured) and agent.c (supervisor, guest init, self-tests). */
#ifndef BENCHPROOF_PROBE_H
#define BENCHPROOF_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROBE_VERSION 1

/* A build for the tests plants a fault in the operation itself; 0, the real build, compiles to nothing.
   With PLANTED=planted it is what planted.c says: then all other files are compiled once for all faults. */
#ifndef PLANTED
#define PLANTED 0
#endif
extern const int planted;
enum { SKIP_WORK = 1, WRONG_ANSWER = 2, STOPPED_CLOCK = 3, FAST_CLOCK = 4, WIDE_AUTHORITY = 5, SLOW_CLOCK = 6, EXTRA_NOP = 7, NO_DELAY = 8,
       BAD_WORKER = 20, /* scaling.c says in which way */
       SHORT_READ = 62, REPEAT_OFFSET = 63, KEEP_CACHE = 64, CACHE_LIE = 65, NO_ROOM = 66 /* disk.c, place.c */ };

uint32_t crc32_of(uint32_t crc, const void *data, size_t size);
void sha256(const unsigned char *data, size_t size, unsigned char digest[32]);
_Noreturn void die(const char *what); /* prints `what` and errno on stderr, exit status 70 */
void write_all(int fd, const void *data, size_t size);

#define NS_PER_S 1000000000ull
#define PAGE 4096u

extern struct state {
    const char *program;          /* our own path, for fork_exec */
    const char *dir;              /* where a tmpfs is looked for first; NULL: the usual places */
    uint64_t samples, warmups, sample_ns, budget_ns, fixed_iterations, size;
    uint64_t width, threads, oversubscribe, limit, chunks; /* of scaling.* */
    uint64_t block, seed, direct, sync, warm, depth; /* of disk.* and rootfs.* */
    uint64_t cold;                /* of startup.command */
    char **words;                 /* behind `--`: a command; NULL: none */
    const char *inject_text;      /* the delay as it was asked for; NULL: none */
    uint64_t inject_ps, inject_instructions;

    uint64_t injected_operations; /* those of the batches that were made slower */
    uint64_t lingered_ns;         /* what their delays took together */

    uint64_t operations;          /* executed so far, calibration and warm-up included */
    uint64_t failures;            /* operations whose result was not the expected one */
    uint64_t sum;                 /* what the operations returned or carried, added up */
    uint64_t own_elapsed_ns;      /* set by a benchmark whose time is not that of the loop */

    int fd, partner_fd, control_fd;
    pid_t partner;
    char path[256];
    unsigned char *source, *copy;
    struct shared { uint32_t turn; uint32_t token; uint64_t served; } *shared;
} S;

/* A ring of requests, one in the whole program; -1 and errno where there is none. What is read comes with its cookie, in
   any order: `ring_enter` hands `fresh` requests over and waits for an answer, `ring_next` takes one that is there. */
int ring_open(unsigned entries);
void ring_read(int fd, void *into, uint32_t bytes, uint64_t offset, uint64_t cookie);
int ring_enter(unsigned fresh);
int ring_next(uint64_t *cookie, int32_t *result);

void evidence(const char *name, uint64_t value);
void evidence_text(const char *name, const char *value);
_Noreturn void unsupported(const char *reason); /* ends the program: the system lacks this, errno says why */
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line of output; printed when all is over */
void forget_output(void);        /* what was said and is not printed yet */
void print_output(void);
uint32_t sum_of_output(void);    /* CRC-32 of what was said and is not printed yet */
void seal_output(int smokes);    /* the last line of tier 0, which counts and checksums; then print it */
void first_line_with(const char *path, const char *key, char *value, size_t size); /* what stands behind `key`, or nothing */
_Noreturn void not_applicable(const char *reason); /* the same, where nothing is lacking */
uint64_t now_ns(void);
pid_t fork_or_die(void); /* the child dies with us */
int exit_status_of(pid_t pid); /* waits; -1 for a signal */

/* A benchmark is three functions: prepare, batch (the only timed part), finish (says what there is as evidence). */
struct benchmark {
    const char *name;
    void (*prepare)(void);
    void (*batch)(uint64_t iterations);
    void (*finish)(void);
    uint64_t granule; /* a batch is a multiple of as many operations, so that all batches do the same work */
};
/* Of primitives.c, files.c, ipc.c, ring.c, scaling.c, privileged.c, disk.c; each ends with a benchmark without a name. */
extern const struct benchmark PRIMITIVES[], FILES[], IPC[], RINGS[], SCALING[], PRIVILEGED[], DISK[], ROOTFS[], STARTUP[];

/* authority.c: what the work may do */
struct authority {
    uint64_t capabilities; /* by their numbers */
    int namespaces;        /* new ones: flags of unshare */
    int confined;          /* a seccomp filter that refuses what no workload needs */
};
uint64_t capabilities_held(void);
int authority_option(struct authority *declared, const char *option, const char *value);
void take_authority(const struct authority *declared); /* exactly that, and no way back */
void report_authority(void);                           /* as evidence: what it really is */
int confine(char **argv);

/* place.c: on what a folder lies, what of a file is in the page cache, and whose file it is */
struct place {
    char type[64], source[256];
    int read_only, in_memory, by_others, limited; /* by others: what it really lies on cannot be seen from here */
    uint64_t free_bytes, block_bytes;
};
struct place place_of(const char *folder);
void report_place(const struct place *place);
uint64_t memory_available(void);
void choose_way_to_see_cache(int fd, uint64_t size); /* on a file of which nothing is dirty */
const char *way_to_see_cache(void);
int64_t resident_pages(int fd, uint64_t size); /* -1: nobody can tell */
void evict(int fd);                           /* what is not dirty */
int own_file(const char *path);               /* new, and locked as long as it is open; -1: errno says why */
void remove_leftovers(const char *folder, const char *prefix); /* of probes that were killed: nobody holds their locks */
void evidence_count(const char *name, int64_t count); /* `unknown` for a negative one */

int http(int argc, char **argv); /* http.c; -1: the words make no sense */
int pack(const char *path); /* pack.c */
int unpack(const char *path);
int list_entries(const char *top, char *path);
int mcp(int argc, char **argv); /* mcp.c; the same */
int smoke(int argc, char **argv); /* smoke.c; -1: the words make no sense */
void say_labels(void); /* labels.c: more facts, in the form of those of `probe facts` */
int hoard(uint64_t bytes); /* exhaust.c */
int fill_up(const char *path, uint64_t bytes);
int serve_as_init(void);
int supervise(int lifeline_fd, char **argv);
int self_test(int argc, char **argv); /* -1: not a self-test command */

#endif
