/* Between two processes: a byte stream, and tokens that go to a partner and come back. */

#define _GNU_SOURCE
#include "probe.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 4096u
#define PARTNER_PATIENCE_S 10     /* a partner process that is silent for longer is lost */

/* ipc.pipe: another process writes numbered 4 KiB chunks, this one reads and adds up every word */

static void fill_chunk(uint64_t *chunk)
{
    for (uint64_t i = 0; i < CHUNK / 8; i++) chunk[i] = (i + 1) * 0x9E3779B97F4A7C15ull;
}

static _Noreturn void pipe_writer(int control, int data)
{
    uint64_t chunk[CHUNK / 8], number = 0, n;
    fill_chunk(chunk);
    while (read(control, &n, sizeof n) == (ssize_t)sizeof n)
        for (uint64_t i = 0; i < n; i++) {
            if (PLANTED == SKIP_WORK && number == 1) _exit(0);
            chunk[0] = number++;
            if (PLANTED == WRONG_ANSWER && number == 1) ((char *)chunk)[1000] ^= 1;
            write_all(data, chunk, sizeof chunk);
        }
    _exit(0);
}

static void pipe_prepare(void)
{
    int data[2], control[2];
    if (pipe(data) || pipe(control)) unsupported("pipe");
    if ((S.partner = fork_or_die()) == 0) {
        close(data[0]), close(control[1]);
        pipe_writer(control[0], data[1]);
    }
    close(data[1]), close(control[0]);
    S.fd = data[0], S.control_fd = control[1];
}

static int read_whole(int fd, void *buffer, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(fd, (char *)buffer + got, size - got);
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return 0;
}

static void pipe_batch(uint64_t n)
{
    uint64_t chunk[CHUNK / 8];
    write_all(S.control_fd, &n, sizeof n);
    for (uint64_t i = 0; i < n; i++) {
        if (read_whole(S.fd, chunk, sizeof chunk)) { S.failures += n - i; return; }
        for (size_t word = 0; word < CHUNK / 8; word++) S.sum += chunk[word];
    }
}

static void pipe_finish(void)
{
    close(S.control_fd);
    evidence("word_sum", S.sum);
    evidence("writer_exit_status", (uint64_t)exit_status_of(S.partner));
}

/* ipc.*_pingpong: the partner adds one to each token; one operation is one round trip */

static uint64_t answer_to(uint64_t token) { return token + (PLANTED == WRONG_ANSWER ? 2 : 1); }

static _Noreturn void echo_partner(int in, int out)
{
    uint64_t token;
    for (S.shared->served = 0; read_whole(in, &token, sizeof token) == 0; S.shared->served++) {
        if (PLANTED == SKIP_WORK && S.shared->served == 1) _exit(0);
        token = answer_to(token);
        write_all(out, &token, sizeof token);
    }
    _exit(0);
}

static void share_page(void)
{
    S.shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (S.shared == MAP_FAILED) unsupported("shared anonymous mapping");
}

/* ours: our two ends (read, write); theirs: the partner's */
static void start_echo(int ours[2], int theirs[2])
{
    signal(SIGPIPE, SIG_IGN);
    if ((S.partner = fork_or_die()) == 0) {
        close(ours[0]);
        if (ours[1] != ours[0]) close(ours[1]);
        echo_partner(theirs[0], theirs[1]);
    }
    close(theirs[0]);
    if (theirs[1] != theirs[0]) close(theirs[1]);
    S.fd = ours[0], S.partner_fd = ours[1];
}

static void pipe_pingpong_prepare(void)
{
    int there[2], back[2];
    share_page();
    if (pipe(there) || pipe(back)) unsupported("pipe");
    start_echo((int[2]){ back[0], there[1] }, (int[2]){ there[0], back[1] });
}

static void unix_pingpong_prepare(void)
{
    int ends[2];
    share_page();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) unsupported("socketpair(AF_UNIX)");
    start_echo((int[2]){ ends[0], ends[0] }, (int[2]){ ends[1], ends[1] });
}

static void echo_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t token = S.sum, answer = 0;
        if (write(S.partner_fd, &token, sizeof token) != (ssize_t)sizeof token) { S.failures += n - i; return; }
        if (read_whole(S.fd, &answer, sizeof answer)) { S.failures += n - i; return; }
        S.failures += answer != token + 1;
        S.sum++;
    }
}

static void pingpong_evidence(void)
{
    evidence("partner_exit_status", (uint64_t)exit_status_of(S.partner));
    evidence("round_trips", S.sum);
    evidence("partner_served", S.shared->served);
}

static void echo_finish(void)
{
    close(S.fd);
    if (S.partner_fd != S.fd) close(S.partner_fd);
    pingpong_evidence();
}

enum { OUR_TURN = 0, THEIR_TURN = 1, OVER = 2 };

static long futex(uint32_t *word, int operation, uint32_t value)
{
    struct timespec patience = { .tv_sec = PLANTED ? 1 : PARTNER_PATIENCE_S }; /* a planted partner is silent for ever */
    return syscall(SYS_futex, word, operation, value, operation == FUTEX_WAIT ? &patience : NULL, NULL, 0);
}

static void pass_turn(uint32_t to)
{
    __atomic_store_n(&S.shared->turn, to, __ATOMIC_SEQ_CST);
    futex(&S.shared->turn, FUTEX_WAKE, 1);
}

/* Returns the turn that came, or `not_this` when the partner let our patience run out. */
static uint32_t await_turn(uint32_t not_this)
{
    uint32_t turn;
    while ((turn = __atomic_load_n(&S.shared->turn, __ATOMIC_SEQ_CST)) == not_this)
        if (futex(&S.shared->turn, FUTEX_WAIT, not_this) && errno != EAGAIN && errno != EINTR) return not_this;
    return turn;
}

static void futex_pingpong_prepare(void)
{
    share_page();
    if (futex(&S.shared->turn, FUTEX_WAKE, 1) < 0) unsupported("futex");
    if ((S.partner = fork_or_die()) == 0) {
        while (await_turn(OUR_TURN) == THEIR_TURN) {
            if (PLANTED == SKIP_WORK && S.shared->served == 1) { S.shared->turn = OVER; _exit(1); }
            S.shared->token = (uint32_t)answer_to(S.shared->token);
            S.shared->served++;
            pass_turn(OUR_TURN);
        }
        _exit(0);
    }
}

static void futex_pingpong_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t token = S.shared->token = (uint32_t)S.sum;
        pass_turn(THEIR_TURN);
        if (await_turn(THEIR_TURN) != OUR_TURN) { S.failures += n - i; return; }
        S.failures += S.shared->token != token + 1;
        S.sum++;
    }
}

static void futex_pingpong_finish(void)
{
    pass_turn(OVER);
    pingpong_evidence();
}

/* ipc.tcp_pingpong: both ends of one connection over the loopback interface */

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (listener < 0 || bind(listener, (struct sockaddr *)address, size) || listen(listener, 1)) unsupported("TCP over the loopback interface");
    if (getsockname(listener, (struct sockaddr *)address, &size)) die("getsockname");
    return listener;
}

static void tcp_pingpong_prepare(void)
{
    struct sockaddr_in address;
    int on = 1, listener = listen_on_loopback(&address);
    share_page();
    int here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (here < 0 || connect(here, (struct sockaddr *)&address, sizeof address)) unsupported("TCP over the loopback interface");
    int there = accept(listener, NULL, NULL);
    if (there < 0) die("accept");
    close(listener);
    for (int i = 0; i < 2; i++)
        if (setsockopt(i ? here : there, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("TCP_NODELAY");
    start_echo((int[2]){ here, here }, (int[2]){ there, there });
}

/* ipc.eventfd_pingpong: a counter each way; reading one waits until it is not zero, and sets it back to zero */

#define OVER_COUNT (UINT64_MAX - 1) /* the most that a counter can hold */

static _Noreturn void eventfd_partner(int in, int out)
{
    uint64_t token;
    while (read(in, &token, sizeof token) == (ssize_t)sizeof token && token != OVER_COUNT) {
        if (PLANTED == SKIP_WORK && S.shared->served == 1) token = OVER_COUNT - 1;
        token = answer_to(token);
        S.shared->served += token != OVER_COUNT;
        write_all(out, &token, sizeof token);
    }
    _exit(0);
}

static void eventfd_pingpong_prepare(void)
{
    share_page();
    int there = eventfd(0, EFD_CLOEXEC), back = eventfd(0, EFD_CLOEXEC);
    if (there < 0 || back < 0) unsupported("eventfd");
    if ((S.partner = fork_or_die()) == 0) eventfd_partner(there, back);
    S.fd = back, S.partner_fd = there;
}

static void eventfd_pingpong_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t token = S.sum + 1, answer = 0;
        if (write(S.partner_fd, &token, sizeof token) != (ssize_t)sizeof token) { S.failures += n - i; return; }
        if (read(S.fd, &answer, sizeof answer) != (ssize_t)sizeof answer) { S.failures += n - i; return; }
        S.failures += answer != token + 1;
        S.sum++;
    }
}

static void eventfd_pingpong_finish(void)
{
    uint64_t over = OVER_COUNT;
    write_all(S.partner_fd, &over, sizeof over);
    pingpong_evidence();
}

const struct benchmark IPC[] = {
    { "ipc.pipe", pipe_prepare, pipe_batch, pipe_finish, 1 },
    { "ipc.pipe_pingpong", pipe_pingpong_prepare, echo_batch, echo_finish, 1 },
    { "ipc.unix_pingpong", unix_pingpong_prepare, echo_batch, echo_finish, 1 },
    { "ipc.futex_pingpong", futex_pingpong_prepare, futex_pingpong_batch, futex_pingpong_finish, 1 },
    { "ipc.eventfd_pingpong", eventfd_pingpong_prepare, eventfd_pingpong_batch, eventfd_pingpong_finish, 1 },
    { "ipc.tcp_pingpong", tcp_pingpong_prepare, echo_batch, echo_finish, 1 },
    { 0 },
};
