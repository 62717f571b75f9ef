/* A library for LD_PRELOAD that makes the n-th call of a kind fail: once, in a process of the
 * engine.
 *
 * It owns nothing but a page that it shares with the driver, the file named by NTH_CONTROL. There
 * the driver says which kind of call is to fail and which one of them (before the process starts,
 * or while it runs), and reads whether it did, which call it was and who made it.
 *
 * Calls are counted once main has begun, and only those of modules that promise to report what
 * fails: our program and the libraries in `answering`. The others end the process by design, so
 * that failing them would test only that:
 *
 *   libzmq, libczmq, libstdc++   alloc_assert() and errno_assert() on everything unexpected
 *   librdkafka                   rd_malloc() asserts
 *   libhiredis before 1.0        uses what it was not given (memory only)
 *   libcrypto, libssl, gnutls    count on their entropy and locks; their errors come by libcurl
 *   the loader                   ends the process when a thread's storage cannot be had
 *
 * Memory that libc itself asks for (fopen, getaddrinfo, strdup) is the business of who called it,
 * and fails too. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KIND_MEMORY = 1, KIND_SYSTEM = 2, RANGES_MAX = 64, NAME_SIZE = 64, FRAMES_MAX = 32 };

/* As tests/faults/nth.py reads it: little-endian, no padding. */
struct control {
    _Atomic uint32_t kind;
    _Atomic uint32_t fired; /* 1: the n-th call was made to fail */
    _Atomic uint64_t nth;   /* 1 for the next call; 0: none fails */
    _Atomic uint64_t calls; /* of that kind, since the driver set it to 0 */
    uint64_t offset;        /* where the call came from, in its module */
    int32_t fd;             /* that it was about; -1: none */
    int32_t error;          /* its errno */
    char call[NAME_SIZE];   /* its name */
    char module[NAME_SIZE]; /* that made it */
};

struct range {
    uintptr_t from, to, base;
    char module[NAME_SIZE];
};

static struct control *control; /* NULL until main begins */
static struct range ranges[RANGES_MAX];
static unsigned range_count;

/* ---- who calls ------------------------------------------------------------------------------ */

/* Beside the program, whose own name is empty. */
static const char *const answering[] = {"libhiredis",     "libmicrohttpd", "libcurl", "libmariadb",
                                        "libmysqlclient", "libjansson",    "libc.so"};

static bool is_answering(const char *module) {
    for (unsigned i = 0; i < sizeof answering / sizeof *answering; i++) {
        if (strncmp(module, answering[i], strlen(answering[i])) == 0) return true;
    }
    return module[0] == 0;
}

static int note_module(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *module = slash == NULL ? info->dlpi_name : slash + 1;
    if (!is_answering(module)) return 0;
    for (unsigned i = 0; i < info->dlpi_phnum && range_count < RANGES_MAX; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0) continue;
        struct range *range = &ranges[range_count++];
        range->base = info->dlpi_addr;
        range->from = info->dlpi_addr + part->p_vaddr;
        range->to = range->from + part->p_memsz;
        snprintf(range->module, sizeof range->module, "%s", module[0] == 0 ? "program" : module);
    }
    return 0;
}

static const struct range *range_of(uintptr_t caller) {
    for (unsigned i = 0; i < range_count; i++) {
        if (caller >= ranges[i].from && caller < ranges[i].to) return &ranges[i];
    }
    return NULL;
}

/* Whether libc works for a module that answers: for whom stands behind its own frames. */
static bool answers_for(uintptr_t caller) {
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX), i = 0;
    while (i < count && (uintptr_t)frames[i] != caller) i++;
    for (; i < count; i++) {
        const struct range *range = range_of((uintptr_t)frames[i]);
        if (range == NULL) return false;
        if (strncmp(range->module, "libc.so", 7) != 0) return true;
    }
    return false;
}

/* Whether this call is the one. */
static bool is_nth(uint32_t kind, const char *call, int fd, int error, void *caller) {
    if (control == NULL || atomic_load(&control->kind) != kind) return false;
    const struct range *range = range_of((uintptr_t)caller);
    if (range == NULL) return false;
    if (kind == KIND_MEMORY && strncmp(range->module, "libhiredis", 10) == 0) return false;
    uint64_t count = atomic_fetch_add(&control->calls, 1) + 1;
    if (count != atomic_load(&control->nth)) return false;
    if (strncmp(range->module, "libc.so", 7) == 0 && !answers_for((uintptr_t)caller)) return false;
    control->offset = (uintptr_t)caller - range->base;
    control->fd = fd;
    control->error = error;
    memcpy(control->module, range->module, NAME_SIZE);
    strncpy(control->call, call, NAME_SIZE - 1);
    atomic_store(&control->fired, 1);
    errno = error;
    return true;
}

/* ---- the beginning of main ------------------------------------------------------------------ */

static int (*real_main)(int, char **, char **);

static int main_begins(int argc, char **argv, char **environment) {
    const char *path = getenv("NTH_CONTROL");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *frame;
    backtrace(&frame, 1); /* its first call loads a library */
    dl_iterate_phdr(note_module, NULL);
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (page != MAP_FAILED) control = page;
    }
    return real_main(argc, argv, environment);
}

typedef int start_fn(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                     void (*)(void), void *);

/* NOLINTNEXTLINE: the name is the loader's */
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*loader_fini)(void), void *stack_end) {
    start_fn *start;
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    return start(main_begins, argc, argv, init, fini, loader_fini, stack_end);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* glibc's own names: dlsym() allocates, and would come back here. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

#define CALLER __builtin_return_address(0)
#define NO_MEMORY(call) is_nth(KIND_MEMORY, call, -1, ENOMEM, CALLER)

void *malloc(size_t size) {
    return NO_MEMORY("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return NO_MEMORY("calloc") ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    return NO_MEMORY("realloc") ? NULL : __libc_realloc(memory, size);
}

char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = NO_MEMORY("strdup") ? NULL : __libc_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

/* ---- the system ----------------------------------------------------------------------------- */

/* CALL(result, name, on failure, errno, descriptor concerned, parameters, arguments) */
#define CALL(type, name, failed, error, fd, parameters, arguments)                                 \
    type name parameters {                                                                         \
        static type(*real) parameters;                                                             \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                               \
        return is_nth(KIND_SYSTEM, #name, fd, error, CALLER) ? (failed) : real arguments;          \
    }

/* A file's disk fails; a connection breaks; a pipe or an eventfd is asked again. */
static int reading_error(int fd) {
    struct stat what;
    if (fstat(fd, &what) != 0) return EBADF;
    if (S_ISSOCK(what.st_mode)) return ECONNRESET;
    return S_ISREG(what.st_mode) ? EIO : EAGAIN;
}

static int writing_error(int fd) {
    struct stat what;
    if (fstat(fd, &what) != 0) return EBADF;
    if (S_ISSOCK(what.st_mode)) return EPIPE;
    return S_ISREG(what.st_mode) ? ENOSPC : EAGAIN;
}

CALL(int, socket, -1, EMFILE, -1, (int family, int type, int protocol), (family, type, protocol))
CALL(int, bind, -1, EADDRINUSE, fd, (int fd, __CONST_SOCKADDR_ARG at, socklen_t size),
     (fd, at, size))
CALL(int, listen, -1, EADDRINUSE, fd, (int fd, int backlog), (fd, backlog))
CALL(int, connect, -1, ECONNREFUSED, fd, (int fd, __CONST_SOCKADDR_ARG to, socklen_t size),
     (fd, to, size))
CALL(int, accept, -1, EMFILE, fd, (int fd, __SOCKADDR_ARG from, socklen_t *size), (fd, from, size))
CALL(int, accept4, -1, EMFILE, fd, (int fd, __SOCKADDR_ARG from, socklen_t *size, int flags),
     (fd, from, size, flags))
CALL(int, getaddrinfo, EAI_MEMORY, ENOMEM, -1,
     (const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found),
     (host, port, hints, found))
CALL(int, setsockopt, -1, ENOBUFS, fd,
     (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size))
CALL(int, socketpair, -1, EMFILE, -1, (int family, int type, int protocol, int pair[2]),
     (family, type, protocol, pair))
CALL(int, pipe2, -1, EMFILE, -1, (int pair[2], int flags), (pair, flags))
CALL(int, epoll_create1, -1, EMFILE, -1, (int flags), (flags))
CALL(int, epoll_wait, -1, EINTR, set, (int set, struct epoll_event *ready, int max, int wait_ms),
     (set, ready, max, wait_ms))
CALL(int, poll, -1, EINTR, -1, (struct pollfd * set, nfds_t count, int wait_ms),
     (set, count, wait_ms))
CALL(int, eventfd, -1, EMFILE, -1, (unsigned first, int flags), (first, flags))
CALL(int, signalfd, -1, EMFILE, fd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
CALL(ssize_t, read, -1, reading_error(fd), fd, (int fd, void *data, size_t size), (fd, data, size))
CALL(ssize_t, write, -1, writing_error(fd), fd, (int fd, const void *data, size_t size),
     (fd, data, size))
CALL(ssize_t, writev, -1, writing_error(fd), fd, (int fd, const struct iovec *parts, int count),
     (fd, parts, count))
CALL(ssize_t, recv, -1, ECONNRESET, fd, (int fd, void *data, size_t size, int flags),
     (fd, data, size, flags))
CALL(ssize_t, send, -1, EPIPE, fd, (int fd, const void *data, size_t size, int flags),
     (fd, data, size, flags))
CALL(ssize_t, sendto, -1, EPIPE, fd,
     (int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_size),
     (fd, data, size, flags, to, to_size))
CALL(ssize_t, sendmsg, -1, EPIPE, fd, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
CALL(int, fsync, -1, EIO, fd, (int fd), (fd))
CALL(int, fdatasync, -1, EIO, fd, (int fd), (fd))
CALL(int, rename, -1, ENOSPC, -1, (const char *from, const char *to), (from, to))
CALL(FILE *, fopen, NULL, EMFILE, -1, (const char *path, const char *mode), (path, mode))
CALL(FILE *, fopen64, NULL, EMFILE, -1, (const char *path, const char *mode), (path, mode))
CALL(void *, mmap, MAP_FAILED, ENOMEM, fd,
     (void *at, size_t size, int rights, int flags, int fd, off_t offset),
     (at, size, rights, flags, fd, offset))
CALL(int, pthread_create, EAGAIN, EAGAIN, -1,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*work)(void *), void *arg),
     (thread, attributes, work, arg))

/* Only what is new can be too much. */
int epoll_ctl(int set, int what, int fd, struct epoll_event *event) {
    static int (*real)(int, int, int, struct epoll_event *);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
    if (what == EPOLL_CTL_ADD && is_nth(KIND_SYSTEM, "epoll_ctl", fd, ENOSPC, CALLER)) return -1;
    return real(set, what, fd, event);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        static int (*real)(const char *, int, ...);                                                \
        if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                               \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                           \
        va_end(rest);                                                                              \
        return is_nth(KIND_SYSTEM, #name, -1, EMFILE, CALLER) ? -1 : real(path, flags, mode);      \
    }

OPEN(open)
OPEN(open64)
