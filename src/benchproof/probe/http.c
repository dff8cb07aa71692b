/* `probe http`: ask an HTTP service for one known body, again and again, over connections that are kept.

   Closed loop: each connection asks as soon as it was answered. Open loop (--rate): request i is due at i / rate, and its
   latency counts from that moment, sent or not: a service that stalls cannot keep its own stall out of the figures.
   A request is answered when status, length and every byte of the body are right; what was not is counted by its kind and
   has no latency. One thread; the raw latencies go out whole. */
#define _GNU_SOURCE
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_REQUESTS = 300000, MOST_CONNECTIONS = 1000, HEAD_LIMIT = 16 << 10, CHUNK = 256 << 10, EVENTS = 256, TICK_MS = 10 };
enum { LATE_NS = 10000000 };
static const uint64_t SPARE_BYTES = 64 << 20, MOST_BYTES = 1ull << 30, UNTIL_END = UINT64_MAX;

enum trouble { CONNECT, HANDSHAKE, PROXY, RESET, TRUNCATED, TIMEOUT, MALFORMED, STATUS, LENGTH, BODY, UNMARKED, TROUBLES };
static const char *const TROUBLE[TROUBLES] = { "connect", "handshake", "proxy", "reset", "truncated", "timeout", "malformed", "status", "length", "body", "unmarked" };

enum step { CLOSED, CONNECTING, TUNNEL_OUT, TUNNEL_IN, GREETING, IDLE, SENDING, HEAD_IN, BODY_IN };

struct link {
    int fd;
    enum step step;
    int asked;                         /* a request is under way */
    uint32_t events;                   /* that are waited for */
    uint64_t due_ns, deadline_ns, idle_since_ns;
    const char *out;
    size_t out_size, sent, have;       /* of `in`, filled so far */
    int status, marked, closes, chunked, wrong;
    uint64_t length, at;               /* of the body: as it was announced, and taken so far */
    uint64_t chunk_left;
    int chunk_step, line_size;
    struct tls *tls;
    char in[HEAD_LIMIT];
};

static struct load {
    struct site origin, proxy;        /* `proxy.port` 0: none */
    struct sockaddr_in to;
    const char *ca, *save;             /* files: of a certificate; to write the body to */
    const char *mark;                  /* `NAME: VALUE`, a header that every answer must carry */
    uint64_t requests, connections, rate, timeout_ns, budget_ns, size;
    int store;                         /* the body is kept and judged when the clock does not run */
    unsigned char digest[32];

    struct link *links, **idle;
    size_t idle_count;
    int poll;
    unsigned char *body, *kept;        /* the reference; what came, where it is judged later */
    char *request, *tunnel;
    uint64_t count, begun, over, start_ns, end_ns;
    uint64_t begun_ns;
    int timed, learning;

    uint64_t *latencies, answered, failed[TROUBLES], statuses[600], bytes, reconnects, connects;
    uint64_t own_late, own_late_most_ns, last_sent_ns, summed_ns, warmups;
    char first_failure[200];
} L;

static unsigned char scratch[CHUNK];

/* ---- what became of a request ---- */

static void shut(struct link *l)
{
    if (l->tls) tls_end(l->tls), l->tls = NULL;
    if (l->fd >= 0) close(l->fd);
    l->fd = -1, l->step = CLOSED;
}

static void rest(struct link *l)
{
    l->asked = 0;
    l->idle_since_ns = now_ns();
    L.idle[L.idle_count++] = l;
    L.over++;
}

static void fail(struct link *l, enum trouble kind, const char *words)
{
    L.failed[kind]++;
    if (!*L.first_failure) snprintf(L.first_failure, sizeof L.first_failure, "%s: %.180s", TROUBLE[kind], words);
    shut(l);
    rest(l);
}

/* Where there is memory for both, a body is compared with the one whose hash was right: an emulated guest takes seconds
   to hash what it gets in one. */
static int is_right(const unsigned char *body)
{
    if (body != L.body) return !memcmp(body, L.body, L.size);
    unsigned char found[32];
    sha256(body, L.size, found);
    return !memcmp(found, L.digest, sizeof found);
}

/* The last byte is here: the time is taken before anything is judged that takes long. */
static void answered(struct link *l)
{
    char words[64];
    uint64_t now = now_ns(), took = now - l->due_ns;
    L.statuses[l->status]++, L.bytes += l->at;
    int reusable = !l->closes && (l->chunked || l->length != UNTIL_END);
    if (l->at != L.size) { snprintf(words, sizeof words, "%" PRIu64 " bytes, expected %" PRIu64, l->at, L.size); fail(l, LENGTH, words); return; }
    if (l->wrong || (L.kept && !is_right(L.kept))) { fail(l, BODY, "another body than the expected one"); return; }
    if (L.mark && !l->marked) { fail(l, UNMARKED, "without the header that it must carry"); return; }
    if (L.timed) L.latencies[L.answered] = took;
    L.answered++, L.summed_ns += took, L.end_ns = now;
    if (!reusable) shut(l);
    else l->step = IDLE;
    rest(l);
}

/* ---- the head of an answer ---- */

static int is_header(const char *line, const char *name, size_t size) { return !strncasecmp(line, name, size) && line[size] == ':'; }
static const char *value_of(const char *line, size_t name) { return line + name + 1 + strspn(line + name + 1, " \t"); }

static int read_header(struct link *l, const char *line)
{
    char *end;
    if (is_header(line, "content-length", 14)) {
        const char *text = value_of(line, 14);
        l->length = strtoull(text, &end, 10);
        return end == text || *text == '-' || *text == '+' || *end ? -1 : 0;
    }
    if (is_header(line, "transfer-encoding", 17)) return l->chunked = !strcasecmp(value_of(line, 17), "chunked"), l->chunked ? 0 : -1;
    if (is_header(line, "connection", 10)) l->closes |= !strcasecmp(value_of(line, 10), "close");
    else if (L.mark && !strcasecmp(line, L.mark)) l->marked = 1;
    return 0;
}

/* `head` ends with the line break of its last header; it is cut into lines in place. -1: it is no HTTP. */
static int read_head(struct link *l, char *head)
{
    l->length = UNTIL_END, l->at = 0, l->chunked = l->marked = l->wrong = l->chunk_step = l->line_size = 0, l->chunk_left = 0;
    if (strncmp(head, "HTTP/1.", 7) || strlen(head) < 13 || head[8] != ' ') return -1;
    l->closes = head[7] == '0';
    l->status = atoi(head + 9);
    if (l->status < 200 || l->status > 599) return -1;
    char *line = strstr(head, "\r\n");
    while (line) {
        char *next = strstr(line += 2, "\r\n");
        if (next) *next = 0;
        if (*line && read_header(l, line)) return -1;
        line = next;
    }
    if (l->status == 204 || l->status == 304) l->length = 0;
    return l->chunked && l->length != UNTIL_END ? -1 : 0;
}

/* ---- its body ---- */

static void judge(struct link *l, const unsigned char *data, size_t size)
{
    unsigned char *keep = L.learning ? L.body : L.kept;
    if (l->at + size <= L.size) {
        if (keep && data != keep + l->at) memcpy(keep + l->at, data, size);
        if (!keep) l->wrong |= memcmp(L.body + l->at, data, size) != 0;
    }
    l->at += size;
}

/* Returns how many bytes belonged to the chunks; sets `*over` behind the last. -1: they are no chunks. */
static ssize_t read_chunks(struct link *l, const unsigned char *data, size_t size, int *over)
{
    enum { SIZE, EXTENSION, DATA, AFTER, TRAILER };
    static const char HEX[] = "0123456789abcdef";
    size_t i = 0;
    while (i < size && !*over) {
        if (l->chunk_step == DATA) {
            size_t n = size - i < l->chunk_left ? size - i : l->chunk_left;
            judge(l, data + i, n), i += n;
            if (!(l->chunk_left -= n)) l->chunk_step = AFTER, l->line_size = 0;
            continue;
        }
        char c = (char)data[i++];
        if (c == '\r') continue;
        if (c != '\n') {
            const char *digit = l->chunk_step == SIZE && c ? strchr(HEX, c | 0x20) : NULL;
            if (l->chunk_step == AFTER || l->line_size++ > 256) return -1;
            if (l->chunk_step == SIZE && c == ';' && l->line_size > 1) l->chunk_step = EXTENSION;
            else if (l->chunk_step == SIZE && (!digit || l->line_size > 15)) return -1;
            if (digit) l->chunk_left = l->chunk_left * 16 + (uint64_t)(digit - HEX);
        } else if (l->chunk_step == AFTER) l->chunk_step = SIZE, l->line_size = 0;
        else if (l->chunk_step == TRAILER) *over = !l->line_size, l->line_size = 0;
        else if (!l->line_size) return -1;
        else l->chunk_step = l->chunk_left ? DATA : TRAILER, l->line_size = 0;
    }
    return (ssize_t)i;
}

/* What came behind the head. A body that is longer than it may be is not read to its end. */
static void take(struct link *l, const unsigned char *data, size_t size)
{
    int over = 0;
    ssize_t used = 0;
    if (l->chunked) used = read_chunks(l, data, size, &over);
    else {
        used = (ssize_t)(l->length - l->at < size ? l->length - l->at : size);
        judge(l, data, (size_t)used);
        over = l->at == l->length;
    }
    if (used < 0 || (over && (size_t)used < size)) fail(l, MALFORMED, used < 0 ? "chunks that are none" : "more bytes than were announced");
    else if (l->at > L.size || (l->length != UNTIL_END && l->length > L.size)) {
        L.statuses[l->status]++;
        fail(l, LENGTH, "a longer body than the expected one");
    } else if (over) answered(l);
}

/* ---- a connection, one step after the other; each returns 1 if it may go on at once ---- */

static void want(struct link *l, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = l };
    if (l->fd < 0 || l->events == events) return;
    if (epoll_ctl(L.poll, l->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, l->fd, &event)) die("epoll_ctl");
    l->events = events;
}

/* Bytes, 0: the end, -1: later, -2: broken, with errno. */
static ssize_t get(struct link *l, void *to, size_t size)
{
    if (l->tls && l->step > GREETING) return tls_read(l->tls, to, size);
    ssize_t n = recv(l->fd, to, size, 0);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static ssize_t put(struct link *l)
{
    if (l->tls && l->step > GREETING) return tls_write(l->tls, l->out + l->sent, l->out_size - l->sent);
    ssize_t n = send(l->fd, l->out + l->sent, l->out_size - l->sent, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static void say_out(struct link *l, const char *text, enum step step)
{
    l->out = text, l->out_size = strlen(text), l->sent = l->have = 0, l->step = step;
}

static int ready(struct link *l)
{
    say_out(l, L.request, SENDING);
    return 1;
}

static int greet(struct link *l)
{
    l->step = GREETING;
    l->tls = l->tls ? l->tls : tls_begin(l->fd, L.origin.host);
    int done = tls_greet(l->tls);
    if (done < 0) return fail(l, HANDSHAKE, tls_words(l->tls)), 0;
    return done ? ready(l) : 0;
}

static int connected(struct link *l)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (!error && getpeername(l->fd, (struct sockaddr *)&(struct sockaddr_in){ 0 }, &(socklen_t){ sizeof(struct sockaddr_in) })) return 0;
    if (error) return fail(l, CONNECT, strerror(error)), 0;
    if (L.tunnel) return say_out(l, L.tunnel, TUNNEL_OUT), 1;
    return L.origin.secure ? greet(l) : ready(l);
}

static void open_link(struct link *l)
{
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) die("socket");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    l->step = CONNECTING, l->events = 0;
    L.connects++, L.reconnects += L.timed != 0;
    want(l, EPOLLIN | EPOLLOUT);
    if (connect(l->fd, (struct sockaddr *)&L.to, sizeof L.to) && errno != EINPROGRESS) fail(l, CONNECT, strerror(errno));
}

static int send_out(struct link *l)
{
    ssize_t n = put(l);
    if (n == -2) return fail(l, RESET, strerror(errno)), 0;
    if (n < 0) return 0;
    if ((l->sent += (size_t)n) < l->out_size) return 1;
    l->step = l->step == TUNNEL_OUT ? TUNNEL_IN : HEAD_IN;
    return 0; /* nothing can be there yet */
}

static void ended_early(struct link *l, ssize_t n)
{
    if (n == -2) fail(l, RESET, l->tls ? "the connection broke" : strerror(errno));
    else if (l->step == BODY_IN && l->length == UNTIL_END && !l->chunked) answered(l);
    else fail(l, TRUNCATED, l->step == BODY_IN ? "the end came within the body" : "the end came before an answer");
}

static int take_head(struct link *l)
{
    ssize_t n = get(l, l->in + l->have, HEAD_LIMIT - 1 - l->have);
    if (n == -1) return 0;
    if (n <= 0) return ended_early(l, n), 0;
    l->have += (size_t)n, l->in[l->have] = 0;
    char *end = strstr(l->in, "\r\n\r\n");
    if (!end) return l->have == HEAD_LIMIT - 1 || memchr(l->in, 0, l->have) ? (fail(l, MALFORMED, "a head without end"), 0) : 1;
    size_t size = (size_t)(end - l->in) + 4;
    end[2] = 0;
    if (read_head(l, l->in)) return fail(l, l->step == TUNNEL_IN ? PROXY : MALFORMED, "no answer in HTTP"), 0;
    char words[64];
    if (l->step == TUNNEL_IN) {
        snprintf(words, sizeof words, "CONNECT was answered with status %d", l->status);
        return l->status == 200 && size == l->have ? greet(l) : (fail(l, PROXY, words), 0);
    }
    if (l->status != 200) {
        snprintf(words, sizeof words, "%d, expected 200", l->status);
        return L.statuses[l->status]++, fail(l, STATUS, words), 0;
    }
    l->step = BODY_IN;
    take(l, (unsigned char *)l->in + size, l->have - size);
    return l->step == BODY_IN;
}

static int take_body(struct link *l)
{
    int direct = L.kept && !l->chunked && l->at < L.size;
    unsigned char *to = direct ? L.kept + l->at : scratch;
    ssize_t n = get(l, to, direct && L.size - l->at < CHUNK ? L.size - l->at : CHUNK);
    if (n == -1) return 0;
    if (n <= 0) return ended_early(l, n), 0;
    take(l, to, (size_t)n);
    return l->step == BODY_IN;
}

/* A connection that nobody asks anything speaks, or ends. */
static int disturbed(struct link *l)
{
    ssize_t n = get(l, scratch, 1);
    if (n != -1) shut(l);
    return 0;
}

static void advance(struct link *l)
{
    for (int more = 1; more;) {
        switch (l->step) {
        case CLOSED: more = 0; break;
        case CONNECTING: more = connected(l); break;
        case TUNNEL_OUT: case SENDING: more = send_out(l); break;
        case TUNNEL_IN: case HEAD_IN: more = take_head(l); break;
        case GREETING: more = greet(l); break;
        case IDLE: more = disturbed(l); break;
        case BODY_IN: more = take_body(l); break;
        }
    }
    int sending = l->step == CONNECTING || l->step == TUNNEL_OUT || l->step == SENDING;
    want(l, sending ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- the loop ---- */

static uint64_t due_ns(uint64_t number) { return L.start_ns + (uint64_t)((unsigned __int128)number * NS_PER_S / L.rate); }

static void ask(struct link *l, uint64_t due, uint64_t now)
{
    l->asked = 1, l->due_ns = due, l->deadline_ns = now + L.timeout_ns;
    L.begun++, L.last_sent_ns = now;
    if (L.timed && L.rate && l->idle_since_ns <= due && now - due > L.own_late_most_ns) L.own_late_most_ns = now - due;
    L.own_late += L.timed && L.rate && l->idle_since_ns <= due && now - due > LATE_NS;
    if (l->step == CLOSED) open_link(l);
    else say_out(l, L.request, SENDING), advance(l);
}

static void dispatch(void)
{
    while (L.idle_count && L.begun < L.count) {
        uint64_t now = now_ns(), due = L.timed && L.rate ? due_ns(L.begun) : now;
        if (due > now) return;
        ask(L.idle[--L.idle_count], due, now);
    }
}

static void await(uint64_t now)
{
    struct epoll_event events[EVENTS];
    int timeout_ms = TICK_MS;
    if (L.timed && L.rate && L.idle_count && L.begun < L.count) { /* nanoseconds, where epoll has but milliseconds */
        uint64_t due = due_ns(L.begun), left = due > now ? due - now : 0;
        struct timespec wait = { .tv_nsec = left < TICK_MS * 1000000 ? (long)left : TICK_MS * 1000000 };
        timeout_ms = 0;
        if (ppoll(&(struct pollfd){ .fd = L.poll, .events = POLLIN }, 1, &wait, NULL) < 0 && errno != EINTR) die("ppoll");
    }
    int count = epoll_wait(L.poll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        advance(events[i].data.ptr);
        dispatch();
    }
}

static void expire(uint64_t now)
{
    for (uint64_t i = 0; i < L.connections; i++)
        if (L.links[i].asked && now > L.links[i].deadline_ns) fail(&L.links[i], TIMEOUT, "no whole answer in time");
}

/* `count` requests over the first `width` connections. */
static void drive(uint64_t count, uint64_t width)
{
    uint64_t now, swept = 0;
    L.count = count, L.begun = L.over = L.answered = L.summed_ns = L.bytes = L.idle_count = 0;
    memset(L.statuses, 0, sizeof L.statuses);
    L.start_ns = L.end_ns = now_ns();
    for (uint64_t i = width; i--;) L.links[i].idle_since_ns = L.start_ns, L.idle[L.idle_count++] = &L.links[i];
    while (L.over < L.count && (now = now_ns()) - L.start_ns < L.budget_ns) {
        dispatch();
        await(now);
        if (now - swept > TICK_MS * 1000000) expire(swept = now);
    }
}

static void refuse_trouble(const char *when, uint64_t count)
{
    if (L.answered == count) return;
    fprintf(stderr, "probe: http: %s, untimed: %s\n", when, *L.first_failure ? L.first_failure : "no answer in time");
    exit(70);
}

/* Nothing is timed before a body was seen that has the expected hash, and every connection has brought the same. */
static void prepare(void)
{
    L.learning = 1;
    drive(1, 1);
    L.learning = 0;
    refuse_trouble("the first request", 1);
    if (!is_right(L.body)) { fprintf(stderr, "probe: http: the first request, untimed: body: its SHA-256 is not the expected one\n"); exit(70); }
    L.warmups = 1;
    if (L.store) return; /* its only connection has brought it */
    drive(L.connections, L.connections);
    refuse_trouble("the first request of each connection", L.connections);
    L.warmups += L.connections;
}

static void save(void)
{
    int fd = open(L.save, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
    if (fd < 0) die(L.save);
    write_all(fd, L.body, L.size);
    close(fd);
}

/* ---- what is said of it ---- */

static void say_latencies(uint64_t tick_ns)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { EACH = 3000 }; /* 12,000 bytes: a multiple of three, so that the pieces can be joined */
    for (uint64_t from = 0; from < L.answered; from += EACH) {
        char text[EACH * 16 / 3 + 5];
        unsigned char raw[EACH * 4 + 2] = { 0 };
        size_t count = L.answered - from < EACH ? L.answered - from : EACH, size = count * 4, used = 0;
        for (size_t i = 0; i < count; i++)
            for (int byte = 0; byte < 4; byte++) raw[4 * i + (size_t)byte] = (unsigned char)(L.latencies[from + i] / tick_ns >> 8 * byte);
        for (size_t i = 0; i < size; i += 3) {
            uint32_t bits = (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
            for (int digit = 3; digit >= 0; digit--) text[used++] = DIGITS[bits >> 6 * digit & 63];
        }
        for (size_t gap = (3 - size % 3) % 3; gap; gap--) text[used - gap] = '=';
        text[used] = 0;
        say("{\"line\":\"latencies\",\"base64\":\"%s\"}\n", text);
    }
}

static void say_clean(const char *name, const char *words)
{
    char text[200];
    snprintf(text, sizeof text, "%s", words);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '?';
    evidence_text(name, text);
}

static void say_statuses(void)
{
    char text[200] = "";
    for (int status = 0; status < 600; status++) {
        size_t used = strlen(text);
        if (L.statuses[status] && used < sizeof text - 32) snprintf(text + used, sizeof text - used, "%s%d:%" PRIu64, used ? " " : "", status, L.statuses[status]);
    }
    evidence_text("statuses", text);
}

static void report(void)
{
    uint64_t longest = 0, failed = 0;
    for (uint64_t i = 0; i < L.answered; i++) longest = L.latencies[i] > longest ? L.latencies[i] : longest;
    for (int kind = 0; kind < TROUBLES; kind++) failed += L.failed[kind];
    uint64_t tick_ns = longest >> 32 ? 1000 : 1, timed_ns = L.store ? L.summed_ns : L.end_ns - L.start_ns;
    if (longest / tick_ns >> 32) { errno = ERANGE; die("a latency"); }
    say("{\"line\":\"load\",\"probe\":%d,\"requests\":%" PRIu64 ",\"tick_ns\":%" PRIu64 "}\n", PROBE_VERSION, L.requests, tick_ns);
    say_latencies(tick_ns);
    say_statuses();
    for (int kind = 0; kind < TROUBLES; kind++)
        if (L.failed[kind]) evidence(TROUBLE[kind], L.failed[kind]);
    if (*L.first_failure) say_clean("first_failure", L.first_failure);
    evidence_text("judged_by", L.store && L.kept == L.body ? "SHA-256 of each" : "every byte, against a body with the right SHA-256");
    evidence("begun", L.begun), evidence("warmups", L.warmups);
    evidence("body_bytes", L.bytes);
    evidence("connects", L.connects), evidence("reconnects", L.reconnects);
    if (L.rate) {
        evidence("sending_ns", L.last_sent_ns - L.start_ns);
        evidence("late_by_own_fault", L.own_late), evidence("late_by_own_fault_most_ns", L.own_late_most_ns);
    }
    report_authority();
    evidence("wall_ns", now_ns() - L.begun_ns);
    uint32_t sum = sum_of_output();
    say("{\"line\":\"end\",\"answered\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"timed_ns\":%" PRIu64 ",\"crc32\":%" PRIu32 "}\n", L.answered, failed, timed_ns, sum);
    print_output();
}

/* ---- arguments ---- */

static _Noreturn void refuse(const char *option, const char *value)
{
    fprintf(stderr, "probe: http: %s: it cannot be '%s'\n", option, value ? value : "nothing");
    exit(64);
}

static uint64_t bounded(const char *option, const char *text, uint64_t most)
{
    char *end;
    errno = 0;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || *end || end == text || *text == '-' || value > most) refuse(option, text);
    return value;
}

/* scheme://host[:port][/path] */
static struct site parse(const char *option, const char *url)
{
    struct site found = { .path = "/" };
    size_t scheme = !strncmp(url, "http://", 7) ? 7 : !strncmp(url, "https://", 8) ? 8 : 0, host = strcspn(url + scheme, ":/");
    if (!scheme || !host || host >= sizeof found.host || strpbrk(url, " \r\n")) refuse(option, url);
    found.secure = scheme == 8, found.port = found.secure ? 443 : 80;
    memcpy(found.host, url + scheme, host);
    const char *rest = url + scheme + host;
    if (*rest == ':') found.port = (int)strtoul(rest + 1, (char **)&rest, 10);
    if ((*rest && *rest != '/') || found.port < 1 || found.port > 65535) refuse(option, url);
    if (*rest) found.path = rest;
    return found;
}

static void digest_of(const char *hex)
{
    unsigned byte;
    if (!hex || strlen(hex) != 64) refuse("--sha256", hex);
    for (int i = 0; i < 32; i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) refuse("--sha256", hex);
        L.digest[i] = (unsigned char)byte;
    }
}

static void options(int argc, char **argv)
{
    L.requests = 1000, L.connections = 1, L.timeout_ns = 5 * NS_PER_S, L.budget_ns = 60 * NS_PER_S, L.size = UINT64_MAX;
    const char *host = NULL, *hex = NULL;
    for (int i = 0; i < argc; i += 2) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value) refuse(option, value);
        if (!strcmp(option, "--requests")) L.requests = bounded(option, value, MOST_REQUESTS);
        else if (!strcmp(option, "--connections")) L.connections = bounded(option, value, MOST_CONNECTIONS);
        else if (!strcmp(option, "--rate")) L.rate = bounded(option, value, 10000000);
        else if (!strcmp(option, "--size")) L.size = bounded(option, value, MOST_BYTES);
        else if (!strcmp(option, "--timeout-ns")) L.timeout_ns = bounded(option, value, 3600 * NS_PER_S);
        else if (!strcmp(option, "--budget-ns")) L.budget_ns = bounded(option, value, 86400 * NS_PER_S);
        else if (!strcmp(option, "--store")) L.store = (int)bounded(option, value, 1);
        else if (!strcmp(option, "--sha256")) hex = value;
        else if (!strcmp(option, "--proxy")) L.proxy = parse(option, value);
        else if (!strcmp(option, "--address")) host = value;
        else if (!strcmp(option, "--save")) L.save = value;
        else if (!strcmp(option, "--mark")) L.mark = value;
        else if (!strcmp(option, "--ca")) L.ca = value;
        else refuse("option", option);
    }
    digest_of(hex);
    if (!L.requests || !L.connections || L.size == UINT64_MAX || L.proxy.secure || (L.store && L.connections > 1)) refuse("options", "this combination");
    const struct site *first = L.proxy.port ? &L.proxy : &L.origin;
    const char *address = host ? host : !strcmp(first->host, "localhost") ? "127.0.0.1" : first->host;
    L.to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)first->port) };
    if (inet_pton(AF_INET, address, &L.to.sin_addr) != 1) refuse("address (names are not resolved here)", address);
}

static void compose(void)
{
    const struct site *o = &L.origin;
    char absolute[300] = "";
    if (L.proxy.port && !o->secure) snprintf(absolute, sizeof absolute, "http://%s:%d", o->host, o->port);
    if (asprintf(&L.request, "GET %s%s HTTP/1.1\r\nHost: %s:%d\r\nAccept-Encoding: identity\r\n\r\n", absolute, o->path, o->host, o->port) < 0) die("asprintf");
    if (L.proxy.port && o->secure &&
        asprintf(&L.tunnel, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n", o->host, o->port, o->host, o->port) < 0) die("asprintf");
}

static void *room(size_t size)
{
    void *made = malloc(size ? size : 1);
    if (!made) die("memory for the body");
    memset(made, 0, size); /* touched before the clock runs */
    return made;
}

int http(int argc, char **argv)
{
    if (argc < 1) return -1;
    L.begun_ns = now_ns();
    L.origin = parse("URL", argv[0]);
    options(argc - 1, argv + 1);
    if (L.origin.secure) tls_setup(L.ca);
    compose();
    signal(SIGPIPE, SIG_IGN);
    take_authority(&(struct authority){ 0 });
    L.links = calloc(L.connections, sizeof *L.links), L.idle = calloc(L.connections, sizeof *L.idle);
    L.latencies = room(L.requests * sizeof *L.latencies);
    if (!L.links || !L.idle) die("memory for the connections");
    for (uint64_t i = 0; i < L.connections; i++) L.links[i].fd = -1;
    L.body = room(L.size);
    if ((L.poll = epoll_create1(EPOLL_CLOEXEC)) < 0) unsupported("epoll");
    prepare();
    if (L.save) save();
    if (L.store) L.kept = memory_available() > L.size + SPARE_BYTES ? room(L.size) : L.body;
    L.timed = 1;
    drive(L.requests, L.connections);
    report();
    return 0;
}
