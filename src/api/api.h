/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP API of the daemon: HTTP/1.1 on a unix socket, and on TCP where admin.listen says so. Which request is which command is
 * admin/api.h; who may do what is decided by admin (admin_session_new_as), as on the control socket; here is who somebody is, and the way
 * of the octets. ADR 40 says why this is no library's HTTP server.
 *
 * Everything is on the control thread: the functions of admin belong to it, and what they wait for (the store, the workers) is bounded by
 * some seconds. Nothing of the traffic runs there. Passwords are hashed on a thread of their own (hasher.h).
 *
 * Limits: connections and those of one address, octets of head and body, headers, a deadline for each request, streams, what waits for a
 * slow reader. None is a setting: an API for administrators needs no more. */
#pragma once
#include "admin/admin.h"
#include "config/config.h"
#include "net/tls.h"
#include "net/worker.h"

enum {
	API_CLIENTS = 128,         /* connections, on TCP and on the socket together */
	API_CLIENTS_ADDRESS = 32,  /* of one address */
	API_STREAMS = 32,          /* that tell events: /v1/events, tests, traces */
	API_BODY_MAX = 65536,
	API_DOCUMENT_MAX = ADMIN_REQUEST_MAX - 65536, /* of a body, for those who may use a command that takes a file */
	API_DOCUMENT_MS = 120000,  /* then */
	API_ANSWER_MAX = 16 << 20,
	API_REQUEST_MS = 10000,    /* from the first octet of a request to its last */
	API_IDLE_MS = 60000,       /* between requests */
	API_SLOW = 256 << 10,      /* octets that wait for a reader before events are lost */
	API_PORT = 8470,
};

struct api;

struct api_opts {
	struct worker *control;
	struct admin *admin;       /* outlives the API */
	struct store *store;       /* NULL in an edge: nobody can log in */
	const struct config *cfg;  /* until the next api_set or api_close */
};

/* Is there something wrong that the parser of the configuration cannot see? ENTENTE_EINVAL. Pure. */
int api_check(const struct config *cfg, struct entente_err *err);
/* Where the unix socket is: admin.socket, or api.sock beside the control socket. False: the path is too long. */
bool api_socket_path(const struct config *cfg, char *ret, size_t size);

int api_open(struct api **ret, const struct api_opts *o, struct entente_err *err);
/* After a reload: certificates and roles. A certificate that cannot be read is logged, the old one stays. */
void api_set(struct api *a, const struct config *cfg);
/* As admin_ops.identities_changed. */
void api_identities_changed(struct api *a);
/* Accepts NULL; returns NULL. */
struct api *api_close(struct api *a);
