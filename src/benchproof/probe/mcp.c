/* `probe mcp`: a client of a tool server that needs nothing in the guest but this file.

   JSON-RPC bodies come on standard input, one a line; each is sent as a POST over one connection that is kept, and its
   answer awaited before the next. Of what they mean nothing is known here: who made them reads the answers. Each is
   printed as a line of JSON (status, size, elapsed ns) and then its bytes; nothing is printed before the last is in. */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_INPUT = 8 << 20, MOST_ANSWER = 16 << 20, MOST_EXCHANGES = 1024, MOST_HEAD = 1 << 16 };

static struct {
    int fd;
    char head[MOST_HEAD];      /* of an answer, and what of its body came with it */
    size_t used, body;         /* bytes in `head`; where the body begins in it */
    char session[256];
    const char *address, *port, *path;
    char **headers;
} M;

static struct exchange { int status; uint64_t elapsed_ns; size_t size; char *body; } done[MOST_EXCHANGES];

static _Noreturn void odd(const char *what)
{
    errno = EPROTO;
    die(what);
}

static void dial(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(M.port)) };
    int on = 1;
    if (inet_pton(AF_INET, M.address, &to.sin_addr) != 1) odd("the address");
    M.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (M.fd < 0 || connect(M.fd, (struct sockaddr *)&to, sizeof to)) unsupported("connect");
    if (setsockopt(M.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("TCP_NODELAY");
}

/* gVisor with the network of the host says EAGAIN of a socket that is to block. */
static size_t take(char *into, size_t room)
{
    ssize_t n;
    while ((n = read(M.fd, into, room)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN) poll(&(struct pollfd){ .fd = M.fd, .events = POLLIN }, 1, -1);
    if (n < 0) die("read");
    return (size_t)n;
}

/* The value of a header of the answer, without blanks before it; NULL: there is none. */
static const char *header(const char *name)
{
    size_t size = strlen(name);
    for (const char *line = strstr(M.head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, size) && line[2 + size] == ':')
            return line + 3 + size + strspn(line + 3 + size, " ");
    return NULL;
}

static void ask(const char *body, size_t size)
{
    char request[8192];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\n"
                     "Accept: application/json, text/event-stream\r\nContent-Length: %zu\r\n", M.path, M.port, size);
    if (M.session[0]) n += snprintf(request + n, sizeof request - (size_t)n, "Mcp-Session-Id: %s\r\n", M.session);
    for (char **each = M.headers; *each && n < 6000; each++)
        n += snprintf(request + n, sizeof request - (size_t)n, "%.1024s\r\n", *each);
    if (n < 0 || (size_t)n > sizeof request - 3) odd("the headers of the request");
    strcpy(request + n, "\r\n");
    struct { char *text; size_t size; } whole = { malloc((size_t)n + 2 + size), (size_t)n + 2 + size };
    if (!whole.text) die("malloc");
    memcpy(whole.text, request, (size_t)n + 2);
    memcpy(whole.text + n + 2, body, size);
    write_all(M.fd, whole.text, whole.size); /* one segment where it fits: no wait for an acknowledgement */
    free(whole.text);
}

static void await_head(void)
{
    M.used = 0;
    for (char *end = NULL; !end; M.body = end ? (size_t)(end + 4 - M.head) : 0) {
        size_t n = take(M.head + M.used, sizeof M.head - 1 - M.used);
        if (!n) odd("the server ended the connection, or its answer begins with too much");
        M.head[M.used += n] = 0;
        end = strstr(M.head, "\r\n\r\n");
    }
}

/* More of the body into `e`, at first what came with the head; 0 at its end. */
static size_t more(struct exchange *e, size_t *of_head)
{
    size_t n = M.used - M.body - *of_head;
    if (n) {
        memcpy(e->body + e->size, M.head + M.body + *of_head, n);
        *of_head += n;
    } else n = take(e->body + e->size, MOST_ANSWER - e->size);
    if (e->size + n >= MOST_ANSWER) odd("the answer is too large");
    e->size += n;
    return n;
}

/* Chunks become what they hold, in place; 0 where the last one has not come. */
static int whole_of_chunks(struct exchange *e)
{
    size_t read = 0, kept = 0;
    for (;;) {
        char *line = e->body + read, *end = memmem(line, e->size - read, "\r\n", 2), *stop;
        if (!end) return 0;
        size_t size = strtoul(line, &stop, 16);
        if (stop == line || size > MOST_ANSWER) odd("a chunk of the answer");
        read = (size_t)(end + 2 - e->body);
        if (read + size + 2 > e->size) return 0;
        if (!size) break;
        read += size + 2;
    }
    for (read = 0;;) { /* all are there */
        char *end = memmem(e->body + read, e->size - read, "\r\n", 2);
        size_t size = strtoul(e->body + read, NULL, 16);
        read = (size_t)(end + 2 - e->body);
        if (!size) break;
        memmove(e->body + kept, e->body + read, size);
        kept += size, read += size + 2;
    }
    e->size = kept;
    return 1;
}

static void await_body(struct exchange *e)
{
    const char *length = header("Content-Length"), *coding = header("Transfer-Encoding");
    size_t of_head = 0, size = length ? strtoul(length, NULL, 10) : 0;
    if (!(e->body = malloc(MOST_ANSWER))) die("malloc");
    if (size >= MOST_ANSWER) odd("the answer is too large");
    if (coding && !strncasecmp(coding, "chunked", 7)) {
        do if (!more(e, &of_head)) odd("the answer was cut off");
        while (!whole_of_chunks(e));
    } else while (e->size < size && more(e, &of_head)) {}
    if (e->size < size) odd("the answer was cut off");
    if (!coding && (e->size > size || M.used - M.body > size)) odd("the answer is longer than it said");
    if (!(e->body = realloc(e->body, e->size + 1))) die("realloc");
}

static void converse(struct exchange *e, const char *body, size_t size)
{
    uint64_t began_ns = now_ns();
    ask(body, size);
    await_head();
    await_body(e);
    e->elapsed_ns = now_ns() - began_ns;
    const char *session = header("Mcp-Session-Id");
    if (sscanf(M.head, "HTTP/1.1 %3d", &e->status) != 1) odd("the first line of the answer");
    if (session && !M.session[0]) snprintf(M.session, sizeof M.session, "%.*s", (int)strcspn(session, "\r"), session);
}

int mcp(int argc, char **argv)
{
    if (argc < 3) return -1;
    M.address = argv[0], M.port = argv[1], M.path = argv[2], M.headers = argv + 3;
    char *input = malloc(MOST_INPUT + 1);
    size_t used = 0, count = 0;
    if (!input) die("malloc");
    for (ssize_t n; (n = read(0, input + used, MOST_INPUT - used)) > 0; used += (size_t)n) {}
    if (used == MOST_INPUT) odd("standard input is too long");
    dial();
    for (char *line = input, *end; line < input + used; line = end + 1) {
        end = memchr(line, '\n', (size_t)(input + used - line));
        if (!end || count == MOST_EXCHANGES) odd("standard input: whole lines, up to 1024");
        converse(&done[count++], line, (size_t)(end - line));
    }
    for (size_t i = 0; i < count; i++) {
        printf("{\"line\":\"answer\",\"status\":%d,\"size\":%zu,\"elapsed_ns\":%" PRIu64 ",\"crc32\":%" PRIu32 "}\n",
               done[i].status, done[i].size, done[i].elapsed_ns, crc32_of(0, done[i].body, done[i].size));
        fflush(stdout);
        write_all(1, done[i].body, done[i].size);
        write_all(1, "\n", 1);
    }
    printf("{\"line\":\"end\",\"answers\":%zu}\n", count);
    return 0;
}
