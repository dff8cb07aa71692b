/* What http.c and http_tls.c share. */
#ifndef BENCHPROOF_HTTP_H
#define BENCHPROOF_HTTP_H

#include "probe.h"

/* Of a URL. */
struct site {
    char host[254];
    const char *path;
    int port, secure;
};

struct tls;
void tls_setup(const char *ca);                         /* ends the program where this build has no TLS, or no such CA */
struct tls *tls_begin(int fd, const char *host);
int tls_greet(struct tls *t);                           /* 1: done, 0: later, -1: refused, see tls_words */
const char *tls_words(const struct tls *t);
ssize_t tls_read(struct tls *t, void *to, size_t size); /* as `get` in http.c */
ssize_t tls_write(struct tls *t, const void *from, size_t size);
void tls_end(struct tls *t);

#endif
