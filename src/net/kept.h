/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that outlive the process. A listening TCP or unix socket and a bound UDP socket are handed to systemd when they are opened
 * (descriptor store: sd_pid_notify_with_fds(3)) and come back at the next start (LISTEN_FDS: sd_listen_fds(3)), whatever the end was: as
 * long as the service is started again they do not close, and what comes meanwhile waits in the kernel. The sockets of a socket unit are used
 * in the same way. A socket is known by its kind and address, not by its name. Where nobody keeps them (no NOTIFY_SOCKET, no LISTEN_FDS) all
 * of this does nothing.
 *
 * One table for the process. Any thread; kept_begin, kept_end and kept_reset on the main thread. */
#pragma once
#include "net/addr.h"

enum { KEPT_MAX = 96, KEPT_NAME = 256 };

/* Before anything is opened: takes over what LISTEN_FDS says, and the variables out of the environment. Returns how many sockets there
 * are. What is no socket that could be ours is closed by kept_end. */
unsigned kept_begin(void);

/* The socket that is bound to this address, as a descriptor of the caller's (close-on-exec, not blocking, listening when SOCK_STREAM), or
 * -1. It can be taken again after the caller has closed it. type: SOCK_STREAM, SOCK_DGRAM. Port 0 is never found. */
int kept_take(int type, const struct addr *at);
/* The same of a unix stream socket. Not when the file at `path` is another one, or gone. */
int kept_take_unix(const char *path);

/* The socket, opened by ourselves, shall outlive us; the descriptor stays the caller's. The order of calls is the order at systemd's. */
void kept_put(int fd, int type, const struct addr *at);
void kept_put_unix(int fd, const char *path);
/* Does somebody keep what is put? Then the file of a unix socket is not to be removed at the end. */
bool kept_active(void);

/* This address cannot be bound: gives up those sockets of the same kind and port that came with the start and nobody has taken; waits until
 * systemd has closed them, too (at most KEPT_WAIT_MS). True: there were some, it is worth another try. */
enum { KEPT_WAIT_MS = 2000 };
bool kept_make_room(int type, const struct addr *at);

/* Everything that the configuration wants is open: what nobody has taken is closed, here and at systemd's; `told` (may be NULL) hears of
 * each. */
void kept_end(void (*told)(void *arg, const char *name), void *arg);

/* A few octets of memory that go with the sockets (memfd_create(2)), `size` of them, zeroed when new. NULL where nobody keeps it. Call it once
 * for a name, before kept_end. Mapped for the life of the process. */
void *kept_memory(const char *name, size_t size);

struct kept_facts {
	unsigned taken;  /* came with the start, and are used */
	unsigned put;    /* opened by us and handed on */
};
void kept_facts(struct kept_facts *ret);

/* For tests: closes all, forgets all. */
void kept_reset(void);
