/* TLS for `probe http`, by Mbed TLS; a build without it says so. The server's certificate is always verified. */
#define _GNU_SOURCE
#include "http.h"

#ifndef WITH_TLS

void tls_setup(const char *ca) { (void)ca, not_applicable("this probe was built without TLS"); }
struct tls *tls_begin(int fd, const char *host) { return (void)fd, (void)host, NULL; }
int tls_greet(struct tls *t) { return (void)t, -1; }
const char *tls_words(const struct tls *t) { return (void)t, "this probe was built without TLS"; }
ssize_t tls_read(struct tls *t, void *to, size_t size) { return (void)t, (void)to, (void)size, -2; }
ssize_t tls_write(struct tls *t, const void *from, size_t size) { return (void)t, (void)from, (void)size, -2; }
void tls_end(struct tls *t) { (void)t; }

#else

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls {
    mbedtls_ssl_context ssl;
    int fd;
    char words[160];
};

static struct {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt trusted;
    mbedtls_ssl_config config;
} ours;

static _Noreturn void give_up(const char *what, int status)
{
    char words[100];
    mbedtls_strerror(status, words, sizeof words);
    fprintf(stderr, "probe: http: %s: %s\n", what, words);
    exit(70);
}

static void must(const char *what, int status)
{
    if (status) give_up(what, status);
}

void tls_setup(const char *ca)
{
    mbedtls_entropy_init(&ours.entropy), mbedtls_ctr_drbg_init(&ours.random);
    mbedtls_x509_crt_init(&ours.trusted), mbedtls_ssl_config_init(&ours.config);
    must("random numbers", mbedtls_ctr_drbg_seed(&ours.random, mbedtls_entropy_func, &ours.entropy, NULL, 0));
    must("--ca (https needs one)", mbedtls_x509_crt_parse_file(&ours.trusted, ca ? ca : ""));
    must("TLS", mbedtls_ssl_config_defaults(&ours.config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT));
    mbedtls_ssl_conf_authmode(&ours.config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&ours.config, &ours.trusted, NULL);
    mbedtls_ssl_conf_rng(&ours.config, mbedtls_ctr_drbg_random, &ours.random);
}

static int pass_out(void *t, const unsigned char *from, size_t size)
{
    ssize_t n = send(((struct tls *)t)->fd, from, size, MSG_NOSIGNAL);
    if (n >= 0) return (int)n;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_CONN_RESET;
}

static int pass_in(void *t, unsigned char *to, size_t size)
{
    ssize_t n = recv(((struct tls *)t)->fd, to, size, 0);
    if (n >= 0) return (int)n;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_CONN_RESET;
}

struct tls *tls_begin(int fd, const char *host)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t) { errno = ENOMEM; die("TLS"); }
    t->fd = fd;
    mbedtls_ssl_init(&t->ssl);
    must("TLS", mbedtls_ssl_setup(&t->ssl, &ours.config));
    must("the host's name", mbedtls_ssl_set_hostname(&t->ssl, host));
    mbedtls_ssl_set_bio(&t->ssl, t, pass_out, pass_in, NULL);
    return t;
}

static int is_later(int status) { return status == MBEDTLS_ERR_SSL_WANT_READ || status == MBEDTLS_ERR_SSL_WANT_WRITE; }

int tls_greet(struct tls *t)
{
    int status = mbedtls_ssl_handshake(&t->ssl);
    if (!status) return 1;
    if (is_later(status)) return 0;
    uint32_t flags = mbedtls_ssl_get_verify_result(&t->ssl);
    if (flags && flags != UINT32_MAX) {
        mbedtls_x509_crt_verify_info(t->words, sizeof t->words, "", flags);
        t->words[strcspn(t->words, "\n")] = 0;
    } else mbedtls_strerror(status, t->words, sizeof t->words);
    return -1;
}

const char *tls_words(const struct tls *t) { return t->words; }

ssize_t tls_read(struct tls *t, void *to, size_t size)
{
    int n = mbedtls_ssl_read(&t->ssl, to, size);
    if (n > 0) return n;
    if (n == 0 || n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || n == MBEDTLS_ERR_SSL_CONN_EOF) return 0;
    return is_later(n) ? -1 : -2;
}

ssize_t tls_write(struct tls *t, const void *from, size_t size)
{
    int n = mbedtls_ssl_write(&t->ssl, from, size);
    return n > 0 ? n : is_later(n) ? -1 : -2;
}

void tls_end(struct tls *t)
{
    mbedtls_ssl_close_notify(&t->ssl);
    mbedtls_ssl_free(&t->ssl);
    free(t);
}

#endif
