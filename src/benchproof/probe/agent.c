/* The probe's other duties: to supervise a program on the host, to serve commands as the init process of a guest,
   and a few programs with which a target is tested. */
#define _GNU_SOURCE
#include "probe.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <sys/io.h>
#endif
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* ---- supervise: nothing that this program starts outlives it or its lifeline ---- */

enum { LIFELINE_CUT = 124, CANNOT_EXECUTE = 127 };

static pid_t parent_of(const char *pid)
{
    char path[64], stat[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
    if (fd >= 0) close(fd);
    if (size <= 0) return -1;
    stat[size] = 0;
    char *after_name = strrchr(stat, ')'); /* a name may hold blanks and brackets */
    return after_name ? (pid_t)strtol(after_name + 4, NULL, 10) : -1;
}

static void kill_children(void)
{
    DIR *proc = opendir("/proc");
    if (!proc) return;
    for (struct dirent *entry; (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]) && parent_of(entry->d_name) == getpid())
            kill((pid_t)atoi(entry->d_name), SIGKILL);
    closedir(proc);
}

/* We are the reaper of our orphans: each round kills one generation and inherits the next. */
static void end_descendants(void)
{
    for (int round = 0; round < 1000; round++) {
        pid_t reaped;
        while ((reaped = waitpid(-1, NULL, WNOHANG)) > 0) {}
        if (reaped < 0) return;
        kill_children();
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static _Noreturn void mirror(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t all;
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(WTERMSIG(status), SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        raise(WTERMSIG(status));
    }
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

int supervise(int lifeline_fd, char **argv)
{
    sigset_t children, before;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &before);
    int signals = signalfd(-1, &children, SFD_CLOEXEC);
    if (signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1)) die("supervise");
    fcntl(lifeline_fd, F_SETFD, FD_CLOEXEC);

    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(argv[0], argv);
        fprintf(stderr, "probe: cannot execute '%s': %s\n", argv[0], strerror(errno));
        _exit(CANNOT_EXECUTE);
    }
    for (int fd = 0; fd < 3; fd++) close(fd); /* ours would keep the child's pipes open after it ended */
    for (;;) {
        struct pollfd waits[] = { { .fd = lifeline_fd, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
        if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
        struct signalfd_siginfo ignored;
        if (waits[1].revents && read(signals, &ignored, sizeof ignored) < 0) break;
        int status;
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
            if (ended == child) {
                end_descendants();
                mirror(status);
            }
        if (waits[0].revents) break;
    }
    end_descendants();
    return LIFELINE_CUT;
}

/* ---- the wire to the host: magic, type, length (little endian), payload, CRC-32 of type to payload ---- */

enum { FRAME_LIMIT = 64 << 10, STAGED_LIMIT = 64 << 20, OUTPUT_LIMIT = 16 << 20 };
static const char MAGIC[4] = { 'B', 'P', 'w', '1' };

struct buffer { char *data; size_t size; };

static int append(struct buffer *to, const void *data, size_t size, size_t limit)
{
    if (to->size + size > limit) return -1;
    char *grown = realloc(to->data, to->size + size + 1);
    if (!grown) return -1;
    memcpy(grown + to->size, data, size);
    to->data = grown, to->size += size, grown[to->size] = 0;
    return 0;
}

static void empty(struct buffer *b) { free(b->data), *b = (struct buffer){ 0 }; }

static void put_u32(unsigned char *to, uint32_t v) { for (int i = 0; i < 4; i++) to[i] = (unsigned char)(v >> 8 * i); }
static uint32_t get_u32(const unsigned char *from) { return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24; }

static void send_frame(int wire, char type, const void *payload, size_t size)
{
    unsigned char head[9], tail[4];
    memcpy(head, MAGIC, 4);
    head[4] = (unsigned char)type;
    put_u32(head + 5, (uint32_t)size);
    put_u32(tail, crc32_of(crc32_of(0, head + 4, 5), payload, size));
    write_all(wire, head, sizeof head);
    write_all(wire, payload, size);
    write_all(wire, tail, sizeof tail);
}

static void send_text(int wire, char type, const char *text) { send_frame(wire, type, text, strlen(text)); }

static void send_all(int wire, char type, const struct buffer *b)
{
    for (size_t sent = 0; sent < b->size; sent += FRAME_LIMIT)
        send_frame(wire, type, b->data + sent, b->size - sent < FRAME_LIMIT ? b->size - sent : FRAME_LIMIT);
}

static int read_exactly(int fd, void *to, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(fd, (char *)to + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return 0;
}

/* The type of the frame, its payload (zero-terminated) in `payload`; 0: what came is no frame; -1: the wire is cut. */
static int receive_frame(int wire, char *payload, size_t *size)
{
    unsigned char head[9], tail[4];
    if (read_exactly(wire, head, sizeof head)) return -1;
    *size = get_u32(head + 5);
    if (memcmp(head, MAGIC, 4) || *size > FRAME_LIMIT) return 0;
    if (read_exactly(wire, payload, *size) || read_exactly(wire, tail, sizeof tail)) return -1;
    payload[*size] = 0;
    return get_u32(tail) == crc32_of(crc32_of(0, head + 4, 5), payload, *size) ? head[4] : 0;
}

/* ---- run one command: pipes, all three streams at once, bounded ---- */

struct running { pid_t pid; int in, out, err; };

enum { MOST_WORDS = 254 };

static int split(char *words, size_t size, char **argv)
{
    int argc = 0;
    for (char *word = words; word < words + size && argc <= MOST_WORDS; word += strlen(word) + 1) argv[argc++] = word;
    argv[argc] = NULL;
    return argc;
}

static _Noreturn void become(int words_fd)
{
    static char words[FRAME_LIMIT + 1];
    char *argv[MOST_WORDS + 2];
    size_t size = 0;
    for (ssize_t n; (n = read(words_fd, words + size, FRAME_LIMIT - size)) > 0;) size += (size_t)n;
    close(words_fd);
    if (!split(words, size, argv)) _exit(0); /* the agent ended */
    execvp(argv[0], argv);
    fprintf(stderr, "probe: cannot execute '%s': %s\n", argv[0], strerror(errno));
    _exit(CANNOT_EXECUTE);
}

/* A process that waits for the words of the command to become. One is made ahead of each command: in a clone whose code
   is not translated yet, a fork is a third of the way to the first answer. */
static struct { struct running process; int words; } next = { .words = -1 };

static void make_next(void)
{
    int in[2], out[2], err[2], words[2];
    if (pipe(in) || pipe(out) || pipe(err) || pipe2(words, O_CLOEXEC)) die("pipe");
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
        setsid();
        dup2(in[0], 0), dup2(out[1], 1), dup2(err[1], 2), dup2(words[0], 3);
        for (int fd = 4; fd < 64; fd++) close(fd);
        fcntl(3, F_SETFD, FD_CLOEXEC);
        signal(SIGPIPE, SIG_DFL);
        become(3);
    }
    close(in[0]), close(out[1]), close(err[1]), close(words[0]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    next.process = (struct running){ pid, in[1], out[0], err[0] };
    next.words = words[1];
}

static struct running start(const char *words, size_t size)
{
    if (next.words < 0) make_next();
    write_all(next.words, words, size);
    close(next.words);
    next.words = -1;
    return next.process;
}

static void feed(int *fd, const struct buffer *input, size_t *fed)
{
    ssize_t n = *fed < input->size ? write(*fd, input->data + *fed, input->size - *fed) : -1;
    if (n > 0) *fed += (size_t)n;
    if (*fed == input->size || (n < 0 && errno != EAGAIN)) close(*fd), *fd = -1;
}

static int drain(int *fd, struct buffer *output)
{
    char chunk[65536];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n <= 0) return close(*fd), *fd = -1, 0;
    return append(output, chunk, (size_t)n, OUTPUT_LIMIT);
}

static void serve_beside(int wire);

/* Ends when the command has ended and both outputs are read; what it left behind is killed (we are process 1). Meanwhile
   `wire` is heard for requests that do not wait for its end; -1: this command is such a one, and kills nobody. */
static int attend(struct running *r, const struct buffer *input, struct buffer output[2], int *status, int wire)
{
    size_t fed = 0;
    int over = 0, flood = 0;
    signal(SIGPIPE, SIG_IGN);
    if (!input->size) close(r->in), r->in = -1;
    while (!over || r->out >= 0 || r->err >= 0) {
        struct pollfd waits[] = { { .fd = r->in, .events = POLLOUT }, { .fd = r->out, .events = POLLIN }, { .fd = r->err, .events = POLLIN },
                                  { .fd = wire, .events = POLLIN } };
        int silent = r->in < 0 && r->out < 0 && r->err < 0; /* nothing can come but its end */
        if (!silent) poll(waits, 4, over ? -1 : 50);
        if (waits[0].revents && r->in >= 0) feed(&r->in, input, &fed);
        if (waits[1].revents) flood |= drain(&r->out, &output[0]);
        if (waits[2].revents) flood |= drain(&r->err, &output[1]);
        if (waits[3].revents) serve_beside(wire);
        if (flood) kill(r->pid, SIGKILL);
        if (!over && waitpid(r->pid, status, silent ? 0 : WNOHANG) == r->pid) {
            over = 1;
            if (getpid() == 1 && wire >= 0) kill(-1, SIGKILL);
        }
    }
    if (r->in >= 0) close(r->in);
    while (wire >= 0 && waitpid(-1, NULL, WNOHANG) > 0) {}
    return flood;
}

/* The types of the frames that answer: output, errors, status, and our own words. */
static const char *const USUAL = "12XE", *const BESIDE = "34xe";

static void run_command(int wire, char *arguments, size_t size, const struct buffer *input, const char *types)
{
    char *argv[MOST_WORDS + 2];
    int status = 0, argc = split(arguments, size, argv);
    if (argc == 0 || argc > MOST_WORDS) { send_text(wire, types[3], "run: expected 1 to 254 arguments"); return; }
    struct buffer output[2] = { { 0 } };
    struct running child = start(arguments, size);
    int flood = attend(&child, input, output, &status, types == USUAL ? wire : -1);
    if (flood) send_text(wire, types[3], "flood: the command printed more than 16 MiB");
    else {
        unsigned char reply[4];
        put_u32(reply, (uint32_t)(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status)));
        send_all(wire, types[0], &output[0]);
        send_all(wire, types[1], &output[1]);
        send_frame(wire, types[2], reply, sizeof reply);
    }
    empty(&output[0]), empty(&output[1]);
}

/* `d` stages data and `r` runs a command with it, also while another runs: a caller in the guest may wait for an answer
   that needs it. Answered at once and whole, so nothing of the other comes in between. */
static void beside(int wire, int type, char *payload, size_t size)
{
    static struct buffer staged;
    if (type == 'd') {
        if (append(&staged, payload, size, STAGED_LIMIT)) send_text(wire, BESIDE[3], "more than 64 MiB staged");
        else send_text(wire, 'a', "");
        return;
    }
    run_command(wire, payload, size, &staged, BESIDE);
    empty(&staged);
}

static void serve_beside(int wire)
{
    static char payload[FRAME_LIMIT + 1];
    size_t size;
    int type = receive_frame(wire, payload, &size);
    if (type < 0) die("the wire is cut");
    if (type == 'd' || type == 'r') beside(wire, type, payload, size);
    else send_text(wire, BESIDE[3], "a command runs, and this request waits for its end");
}

static void put_file(int wire, const char *path, const struct buffer *content)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);
    if (fd < 0) { send_text(wire, 'E', strerror(errno)); return; }
    const char *refusal = NULL; /* a full disk is no reason for the first process to die */
    for (size_t done = 0; done < content->size && !refusal;) {
        ssize_t n = write(fd, content->data + done, content->size - done);
        if (n > 0) done += (size_t)n;
        else if (n == 0 || errno != EINTR) refusal = strerror(n ? errno : EIO);
    }
    if (close(fd) && !refusal) refusal = strerror(errno);
    send_text(wire, refusal ? 'E' : 'A', refusal ? refusal : "");
}

static void get_file(int wire, const char *path)
{
    struct buffer content = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC), flood = 0;
    if (fd < 0) { send_text(wire, 'E', strerror(errno)); return; }
    while (fd >= 0 && !flood) flood = drain(&fd, &content);
    if (flood) close(fd), send_text(wire, 'E', "the file is larger than 16 MiB");
    else send_all(wire, '1', &content), send_text(wire, 'A', "");
    empty(&content);
}

/* Proof of freshness: clones of one snapshot must not repeat random numbers. The host's nonce goes into the pool, the
   generator is reseeded, and nonce, new random bytes and boot id go back. */
static void freshen(int wire, const char *nonce, size_t size)
{
    enum { NONCE_BYTES = 32, BOOT_ID_BYTES = 36 };
    struct { int bits, size; char bytes[NONCE_BYTES]; } entropy = { .bits = 8 * NONCE_BYTES, .size = NONCE_BYTES }; /* rand_pool_info */
    char answer[2 * NONCE_BYTES + BOOT_ID_BYTES];
    static int pool = -1; /* it and the boot id are at hand in a guest that was frozen */
    static char boot_id[BOOT_ID_BYTES];
    if (pool < 0) {
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read_exactly(fd, boot_id, sizeof boot_id)) { send_text(wire, 'E', "no boot id"); return; }
        close(fd);
        pool = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    }
    if (size != NONCE_BYTES) { send_text(wire, 'E', "nonce: expected 32 bytes"); return; }
    memcpy(entropy.bytes, nonce, NONCE_BYTES);
    memcpy(answer, nonce, NONCE_BYTES);
    memcpy(answer + 2 * NONCE_BYTES, boot_id, BOOT_ID_BYTES);
    if (ioctl(pool, RNDADDENTROPY, &entropy) || ioctl(pool, RNDRESEEDCRNG) || read_exactly(pool, answer + NONCE_BYTES, NONCE_BYTES))
        send_text(wire, 'E', strerror(errno));
    else send_frame(wire, 'N', answer, sizeof answer);
}

/* ---- exact mode: the guest freezes itself at a moment of its own clock, and finds its work in the machine ----

   What reaches a guest at a moment that the host chose makes instruction counts differ from run to run. So nothing does:
   the agent stops the machine by a write to its pvpanic device; when a clone goes on with the next instruction, the
   request already lies in the firmware configuration device (fw_cfg), as the words of a command and its input.

   QEMU may take the machine that stops for an idle one and move its clock on to the next timer, or not, as its threads
   happen to run. So the agent spins until a moment behind that timer, to the instruction: all that the kernel saw is one
   program that used its time slice. */

enum { SETTLED_S = 10, REJOIN_NS = 5500000, SLED = 16 };

#if defined(__x86_64__)
enum { PVPANIC_PORT = 0x505, FW_CFG_SELECT = 0x510, FW_CFG_DATA = 0x511, FW_CFG_DIRECTORY = 0x19 };

static void read_fw_cfg(void *to, size_t size)
{
    for (unsigned char *byte = to; size--;) *byte++ = inb(FW_CFG_DATA);
}

/* Selects the file and returns its size; 0: there is none. Numbers in the directory are big endian. */
static size_t open_fw_cfg(const char *name)
{
    struct { uint32_t size; uint16_t select, reserved; char name[56]; } entry;
    uint32_t count;
    outw(FW_CFG_DIRECTORY, FW_CFG_SELECT);
    read_fw_cfg(&count, sizeof count);
    for (count = __builtin_bswap32(count); count--;) {
        read_fw_cfg(&entry, sizeof entry);
        if (strcmp(entry.name, name)) continue;
        outw(__builtin_bswap16(entry.select), FW_CFG_SELECT);
        return __builtin_bswap32(entry.size);
    }
    return 0;
}

/* Returns at exactly the same count of instructions, from whichever one it is called before; -1: too late for that. */
static __attribute__((noinline)) int spin_until(uint64_t count)
{
    for (uint64_t now; (now = __builtin_ia32_rdtsc()) + 20000 < count;) /* coarse: interrupts take their share */
        for (uint64_t turn = (count - now) / 8; turn; turn--) __asm__ volatile("");
    uint64_t late;
    __asm__ volatile("1: rdtsc\n"
                     "shl $32, %%rdx\n"
                     "or %%rdx, %%rax\n"
                     "sub %1, %%rax\n"
                     "jb 1b\n"
                     "mov %%rax, %0\n"
                     "cmp %2, %%rax\n"
                     "jae 3f\n"
                     "lea 2f(%%rip), %%rdx\n"
                     "add %%rdx, %%rax\n" /* of the no-operations, one byte each, as many are left out as it is late */
                     "jmp *%%rax\n"
                     "2: .fill %c2, 1, 0x90\n"
                     "3:\n"
                     : "=&r"(late)
                     : "r"(count), "i"(SLED)
                     : "rax", "rdx", "cc");
    return late < SLED ? 0 : -1;
}

static int freeze_here(void)
{
    if (iopl(3)) die("iopl");
    uint64_t before = __builtin_ia32_rdtsc();
    outb(1, PVPANIC_PORT); /* the machine stands still here until it is resumed as a clone */
    return spin_until(before + REJOIN_NS);
}

static size_t read_request(char *request, size_t limit)
{
    size_t size = open_fw_cfg("opt/benchproof/command");
    if (size > limit) return limit + 1;
    read_fw_cfg(request, size);
    if (iopl(0)) die("iopl"); /* children inherit it, and a kernel pays for it at each system call */
    return size;
}
#else
static int freeze_here(void) { errno = ENOSYS, die("exact mode"); }
static size_t read_request(char *request, size_t limit) { return (void)request, limit + 1; }
#endif

/* The request: length of the words (32 bits, little endian), the words, and the rest is their input. */
static void serve_exact(int wire, char *request, size_t limit)
{
    struct timespec settled = { .tv_sec = SETTLED_S };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &settled, NULL); /* idle time costs nothing here */
    if (freeze_here()) { send_text(wire, 'E', "the clock moved on too far while the machine stopped"); return; }
    size_t size = read_request(request, limit);
    uint32_t words = size < 4 ? 0 : get_u32((unsigned char *)request);
    if (size > limit || words > size - 4) { send_text(wire, 'E', "the request is damaged or too long"); return; }
    struct buffer input = { .data = request + 4 + words, .size = size - 4 - words };
    run_command(wire, request + 4, words, &input, USUAL);
}

/* ---- process 1 of a guest ---- */

static void mount_or_complain(const char *type, const char *where)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, NULL)) fprintf(stderr, "probe: mount %s: %s\n", where, strerror(errno));
}

/* In the order of their names; each stands behind what it needs. A guest without such a folder needs none. */
static void load_modules(void)
{
    struct dirent **names;
    char path[300];
    int count = scandir("/lib/modules", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/lib/modules/%s", names[i]->d_name);
        int fd = names[i]->d_type == DT_REG ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0 && syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST) fprintf(stderr, "probe: %s: %s\n", path, strerror(errno));
        if (fd >= 0) close(fd);
        free(names[i]);
    }
    if (count >= 0) free(names);
}

/* A disk that holds a file system is mounted; an empty one stays a device. Neither is an error. */
static void mount_disk(void)
{
    if (access("/dev/vda", F_OK)) return;
    mkdir("/disk", 0755);
    mount("/dev/vda", "/disk", "ext4", 0, NULL);
}

/* ---- a root file system on a disk: commands run in it, and everything but /run and /dev/shm lies on it ---- */

static void mount_or_die(const char *from, const char *where, const char *type, unsigned long flags, const char *options)
{
    char what[200];
    snprintf(what, sizeof what, "the root file system: mount %s as %s", from, type ? type : "it is");
    mkdir(where, 0755);
    if (mount(from, where, type, flags, options)) die(what);
}

/* The program that serves is also the probe, and stays at its place. It lies in memory, wherever the rest does. */
static void keep_probe(void)
{
    int file = open("/root/init", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    if (file < 0) die("the root file system: /init");
    close(file);
    mount_or_die("/init", "/root/init", NULL, MS_BIND, NULL);
}

static void move_mounts(int is_layered)
{
    mount_or_die("/dev", "/root/dev", NULL, MS_MOVE, NULL);
    mount_or_die("/proc", "/root/proc", NULL, MS_MOVE, NULL);
    mount_or_die("/sys", "/root/sys", NULL, MS_MOVE, NULL);
    mount_or_die("tmpfs", "/root/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    mount_or_die("tmpfs", "/root/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
    mount_or_die("devpts", "/root/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666");
    if (is_layered) mount_or_die("/base", "/root/run/base", NULL, MS_MOVE, NULL); /* what is beneath stays in sight */
    if (symlink("/proc/self/fd", "/root/dev/fd") || symlink("fd/0", "/root/dev/stdin") || symlink("fd/1", "/root/dev/stdout") || symlink("fd/2", "/root/dev/stderr")) die("the root file system: /dev/fd");
}

/* An ext4 is written to; any other type is beneath a layer that is, on a disk of its own. */
static void enter_root(const char *type)
{
    int is_layered = strcmp(type, "ext4") != 0;
    if (is_layered) {
        mount_or_die("/dev/vdb", "/base", type, MS_RDONLY, NULL);
        mount_or_die("/dev/vda", "/upper", "ext4", 0, NULL);
        mkdir("/upper/upper", 0755), mkdir("/upper/work", 0755);
        mount_or_die("overlay", "/root", "overlay", 0, "lowerdir=/base,upperdir=/upper/upper,workdir=/upper/work");
    } else mount_or_die("/dev/vda", "/root", type, 0, NULL);
    keep_probe();
    move_mounts(is_layered);
    if (umount("/tmp") || chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) die("the root file system");
    if (access("/bin/sh", X_OK)) die("the root file system: /bin/sh");
    mkdir("/tmp", 01777), mkdir("/root", 0700), mkdir("/work", 0755);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    unsetenv("BENCHPROOF_ROOT");
}

/* The kernel hands a NAME=value of its command line that it does not know to process 1, as environment. */
static int open_wire(void)
{
    struct termios raw;
    const char *named = getenv("BENCHPROOF_WIRE"), *device = named ? named : "/dev/ttyS1";
    int wire = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (wire < 0 || tcgetattr(wire, &raw)) die(device);
    cfmakeraw(&raw);
    cfsetspeed(&raw, B115200);
    if (tcsetattr(wire, TCSANOW, &raw)) die(device);
    return wire;
}

/* For those who measure between two processes over it; a kernel without a network has none. */
static void raise_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0) return;
    if (ioctl(any, SIOCSIFFLAGS, &request)) fprintf(stderr, "probe: the loopback interface: %s\n", strerror(errno));
    close(any);
}

static int set_address(int any, unsigned long what, struct ifreq *request, uint32_t address)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
    memcpy(&request->ifr_addr, &to, sizeof to);
    return ioctl(any, what, request);
}

/* What QEMU's user network gives its only guest: 10.0.2.15, and by way of 10.0.2.2 the host and all that it reaches. A
   kernel without a driver for the card has no such interface; the host looks for it. */
static void configure_card(void)
{
    enum { OURS = 0x0a00020f, HOST = 0x0a000202, MASK = (int)0xffffff00 };
    struct ifreq request = { .ifr_name = "eth0" };
    struct sockaddr_in to = { .sin_family = AF_INET }, by = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(HOST) };
    struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(&route.rt_dst, &to, sizeof to), memcpy(&route.rt_genmask, &to, sizeof to);
    memcpy(&route.rt_gateway, &by, sizeof by);
    int failed = any < 0 || set_address(any, SIOCSIFADDR, &request, OURS) || set_address(any, SIOCSIFNETMASK, &request, (uint32_t)MASK);
    request.ifr_flags = IFF_UP;
    if (failed || ioctl(any, SIOCSIFFLAGS, &request) || ioctl(any, SIOCADDRT, &route)) fprintf(stderr, "probe: the network card: %s\n", strerror(errno));
    if (any >= 0) close(any);
}

int serve_as_init(void)
{
    static char payload[FRAME_LIMIT + 1];
    struct buffer staged = { 0 };
    size_t size;
    mount_or_complain("devtmpfs", "/dev");
    int wire = open_wire();
    send_text(wire, 'I', "");
    mount_or_complain("proc", "/proc");
    mount_or_complain("sysfs", "/sys");
    mount_or_complain("tmpfs", "/tmp");
    load_modules();
    raise_loopback();
    if (getenv("BENCHPROOF_NETWORK")) configure_card();
    if (getenv("BENCHPROOF_ROOT")) enter_root(getenv("BENCHPROOF_ROOT"));
    else mount_disk();
    if (getenv("BENCHPROOF_EXACT")) serve_exact(wire, payload, FRAME_LIMIT);
    send_text(wire, 'H', "benchproof-agent 1");
    for (int type; (type = receive_frame(wire, payload, &size)) >= 0;) {
        if (type == 'D') {
            if (append(&staged, payload, size, STAGED_LIMIT)) send_text(wire, 'E', "more than 64 MiB staged");
            else send_text(wire, 'A', "");
            continue;
        }
        if (type == 'd' || type == 'r') {
            beside(wire, type, payload, size);
            if (next.words < 0) make_next();
            continue;
        }
        if (type == 'R') run_command(wire, payload, size, &staged, USUAL), make_next();
        else if (type == 'N') freshen(wire, payload, size);
        else if (type == 'G') get_file(wire, payload);
        else if (type == 'P') put_file(wire, payload, &staged);
        else send_text(wire, 'E', "that was no frame of this protocol");
        empty(&staged);
    }
    die("the wire is cut");
}

/* ---- self-tests: small programs with known behaviour, to test a target with ---- */

/* NULL: standard input, standard output. */
static int copy(const char *from, const char *to, uint64_t limit)
{
    char chunk[65536];
    int in = from ? open(from, O_RDONLY) : 0, out = to ? open(to, O_CREAT | O_TRUNC | O_WRONLY, 0600) : 1;
    if (in < 0 || out < 0) die(in < 0 ? from : to);
    for (ssize_t n; limit && (n = read(in, chunk, limit < sizeof chunk ? limit : sizeof chunk)) > 0; limit -= (uint64_t)n)
        write_all(out, chunk, (size_t)n);
    return 0;
}

/* A tree that does not want to end: a child in a session of its own, deaf to polite signals. */
static _Noreturn void hang(void)
{
    signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGHUP, SIG_IGN);
    if (fork() == 0) setsid();
    for (;;) pause();
}

static int flood(uint64_t bytes)
{
    static char chunk[65536];
    memset(chunk, 'f', sizeof chunk);
    for (; bytes; bytes -= bytes < sizeof chunk ? bytes : sizeof chunk) write_all(1, chunk, bytes < sizeof chunk ? bytes : sizeof chunk);
    return 0;
}

/* Does nothing for ever; as the first process of a sandbox it also reaps orphans. */
static _Noreturn void idle(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) pause();
}

/* Run ARGV to its end with its output in a file, say how it ended, and stay: what ARGV left behind keeps its streams, so
   these are no pipes, and it lives until our supervisor ends it. */
static _Noreturn void stay(const char *output, char **argv)
{
    int status = 0, fd = open(output, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    pid_t child = fd < 0 ? -1 : fork();
    if (child < 0) die(output);
    if (child == 0) {
        dup2(fd, 1), dup2(fd, 2);
        execvp(argv[0], argv);
        fprintf(stderr, "probe: cannot execute '%s': %s\n", argv[0], strerror(errno));
        _exit(CANNOT_EXECUTE);
    }
    if (waitpid(child, &status, 0) != child) die("waitpid");
    dprintf(1, "%d\n", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
    idle();
}

/* A kernel goes on with its own start for a second: until it has settled on its clock. Bounded. */
static int settle(void)
{
    char source[64] = "-early";
    for (int turn = 0; turn < 100 && strstr(source, "-early"); turn++) {
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? 0 : read(fd, source, sizeof source - 1);
        source[size > 0 ? size : 0] = 0;
        close(fd);
    }
    return 0;
}

int self_test(int argc, char **argv)
{
    if (argc >= 1 && !strcmp(argv[0], "cat")) return copy(argc > 1 ? argv[1] : NULL, NULL, argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX);
    if (argc == 2 && !strcmp(argv[0], "save")) return copy(NULL, argv[1], UINT64_MAX);
    if (argc == 2 && !strcmp(argv[0], "exit")) return atoi(argv[1]) & 0xff;
    if (argc == 1 && !strcmp(argv[0], "hang")) hang();
    if (argc == 1 && !strcmp(argv[0], "idle")) idle();
    if (argc >= 3 && !strcmp(argv[0], "stay")) stay(argv[1], argv + 2);
    if (argc == 1 && !strcmp(argv[0], "settle")) return settle();
    if (argc == 1 && !strcmp(argv[0], "crash")) return raise(SIGSEGV);
    if (argc == 2 && !strcmp(argv[0], "hoard")) return hoard(strtoull(argv[1], NULL, 10));
    if (argc == 3 && !strcmp(argv[0], "fill")) return fill_up(argv[1], strtoull(argv[2], NULL, 10));
    if (argc == 2 && !strcmp(argv[0], "flood")) return flood(strtoull(argv[1], NULL, 10));
    return -1;
}
