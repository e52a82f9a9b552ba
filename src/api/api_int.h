/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room. server.c: sockets and life; client.c: one connection and its octets; operation.c: what a request asks for;
 * events.c: what happens, told to whoever listens. */
#pragma once
#include "api/api.h"
#include "api/backoff.h"
#include "api/hasher.h"
#include "api/http.h"
#include "api/identity.h"
#include "api/peer.h"
#include "base/list.h"
#include "net/conn.h"
#include "net/listener.h"

struct event;
struct feed;

struct api {
	struct worker *control;
	struct admin *admin;
	const struct config *cfg;
	struct identities *who;
	struct backoff *backoff;
	struct hasher *hasher;
	struct feed *feed;
	char *openapi;     /* the description, made when somebody asks first: anybody may, as often as he likes */
	/* unix socket */
	int fd;
	struct event *acceptable;
	struct timer rest; /* after the process ran out of descriptors */
	char *path;
	/* TCP */
	struct listener *listener;
	struct gate *gate;
	struct tls_ctx *tls;
	struct list clients;
	size_t n_clients, n_streams;
	uint64_t next_id;
};

enum client_state {
	CLIENT_READS,  /* a request, or nothing */
	CLIENT_WAITS,  /* for a password to be hashed: nothing is read */
	CLIENT_TASK,   /* a command that takes time */
	CLIENT_EVENTS, /* /v1/events */
};

struct client {
	struct list node;
	struct api *api;
	struct conn *conn;
	uint64_t id;
	bool local;               /* on the unix socket */
	struct peer_identity peer; /* then */
	enum client_state state;
	bool over;                /* conn_close was called */
	bool partial, continued;  /* a request has begun; 100 was said */
	bool document;            /* it is a large one */
	bool paused;              /* until the reader has caught up */
	struct timer timer;
	size_t scanned;
	/* of the present request */
	bool keep, head;
	struct identity who;
	const struct admin_command *command;
	bool staged;              /* the draft is asked */
	bool stream, streaming;   /* events are wanted; the head of the answer is out */
	struct admin_session *session;
	struct buf out;           /* lines of the session */
	json_t *args;             /* waits for a hash */
	int64_t generation;       /* If-Match; -1: none */
	char account[64], hash[ADMIN_PASSWORD_HASH]; /* of a log-in */
	/* of events */
	uint64_t next_event;
};

/* ---- client.c */
void client_accept(struct api *a, int fd, bool local, struct gate_pass *pass);
void client_free(struct client *c);
/* A whole answer; extra: further header lines with their ends, may be empty. type NULL: no body. */
void client_answer(struct client *c, int status, const char *type, struct slice body, struct slice extra);
void client_answer_json(struct client *c, int status, json_t *body, struct slice extra); /* takes the reference */
/* RFC 9457; hint, extra may be NULL or empty. */
void client_problem(struct client *c, int status, const char *code, const char *hint, struct slice extra, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* The head of a stream of events; the connection ends with it. False: there are too many (answered). */
bool client_stream(struct client *c);
/* One event; id may be NULL. */
void client_event(struct client *c, const char *name, const char *id, struct slice data);
bool client_slow(const struct client *c);
/* After an answer that was not given at once: on with what has come meanwhile. */
void client_next(struct client *c, enum client_state was);
/* Ends what was begun in the name of somebody who is that no longer; at the latest a minute after it is so. */
void client_recheck(struct client *c);
struct client *client_find(struct api *a, uint64_t id);
void client_address(const struct client *c, char ret[ADDR_TEXT]);

/* ---- operation.c */
void operation_run(struct client *c, const struct http_request *r, struct slice body);
/* How large its body may be: documents only of those who may use a command that takes one. */
size_t operation_body_max(struct client *c, const struct http_request *r);
/* The session of a task has something to say, or the reader has caught up. */
void operation_pump(struct client *c);
/* The client goes away in the middle of it. */
void operation_forget(struct client *c);

/* ---- events.c */
struct feed *feed_new(struct api *a);
struct feed *feed_free(struct feed *f);
/* Begins to tell; last: the Last-Event-ID header, or p == NULL. */
void feed_join(struct client *c, struct slice last);
/* What it has not got yet, as far as it reads. */
void feed_flush(struct client *c);
