/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the transaction layer share: trans.c (stack, routing), trans_server.c, trans_client.c. Not for
 * other users. */
#pragma once
#include "sip/trans.h"

/* Buffers up to TRANS_KEEP octets go from one transaction to the next, the last one first. */
enum { TRANS_KEEP = 2048, TRANS_FREE_MAX = 1024, TRANS_BUF_MAX = 1 << 20 };
/* Of a transaction that has passed on a 2xx to INVITE, for half a minute: the text that is still needed lies in the transaction itself. */
enum { TRANS_KEY = 64, TRANS_REST = 128 };
/* What a server transaction remembers of a request (Via, From, To, Call-ID, Record-Route ...). A peer decides how long
 * it lives. */
enum { TRANS_TEXT_MAX = 32768 };

#define BRANCH_COOKIE S("z9hG4bK")

enum trans_state {
	TRANS_TRYING,     /* server: no final answer yet; client: nothing heard yet (Calling, Trying) */
	TRANS_PROCEEDING, /* client: a provisional response came */
	TRANS_COMPLETED,
	TRANS_CONFIRMED,
	TRANS_ACCEPTED, /* RFC 6026 */
};

struct sip_server_trans {
	struct map_node node; /* in stack->servers */
	struct sip_stack *stack;
	struct sip_server_trans *next_free;
	enum trans_state state;
	enum sip_method method;
	uint64_t id;
	struct sip_flow from;       /* where the request came from */
	struct sip_flow to;         /* where responses go */
	uint16_t sent_by_port;      /* of the topmost Via, with its default */
	bool reliable, rfc2543, provisional, repeat_2xx, acked;
	struct buf text;            /* key, head of responses, Record-Route, tag, ack key, one behind the other */
	struct slice head, routes, tag, ack_key;
	char rest[TRANS_REST];      /* key and tag, when nothing of ours can be answered any more */
	struct buf last;            /* the last response, for retransmission */
	struct timer t_send, t_end; /* 100 or G or 2xx; H, I, J, L or the time to answer */
	uint32_t wait;              /* present interval of t_send */
	uint64_t since;
	struct map_node ack_node;   /* in stack->acks while a 2xx is repeated */
	struct list of_accepted;    /* in stack->accepted_servers */
	void *user;
	const struct sip_server_watch *watch;
	void *watch_arg;
	uint64_t record;
};

struct sip_client_trans {
	struct map_node node; /* in stack->clients */
	struct list all;      /* in stack->client_list, or accepted_clients */
	struct sip_stack *stack;
	struct sip_client_trans *next_free;
	enum trans_state state;
	enum sip_method method;
	struct sip_flow to;
	bool reliable, failing, cancel_wanted, cancelled, dead;
	bool repeat;                /* sip_client_opts.repeat */
	uint64_t repeat_until;      /* 0: the connection that it went out on stands */
	unsigned busy;              /* callbacks running: not to be freed under them */
	char key[TRANS_KEY];        /* branch LF method */
	char *long_key;             /* owned: one that does not fit there */
	struct buf request;         /* what went out: over UDP, for INVITE (ACK and CANCEL are made of it), and what is to be repeated */
	struct buf ack;             /* as sent: the transaction's own, or the owner's of a 2xx */
	struct sip_flow ack_to;
	uint64_t tag;               /* hash of the To tag of the first 2xx */
	struct timer t_send, t_end; /* A, E; B, F, C, D, K, M */
	uint32_t wait;
	const struct sip_client_handler *handler;
	void *arg;
};

struct sip_stack {
	const struct sip_stack_ops *ops;
	void *arg;
	struct timers *timers;
	struct sip_stack_config config; /* defaults filled in; texts owned */
	struct map servers, acks, clients;
	struct sip_usage **usages; /* by mark; those of one dialog in the order of registration */
	size_t n_usages, cap_usages;
	struct list shared; /* of notifier.c: what its subscriptions have in common, the latest first */
	struct list client_list;
	struct list accepted_clients, accepted_servers; /* answered 2xx over a reliable transport, the oldest first: may end early */
	struct sip_server_trans **slots; /* all ever made, by the low half of the ID less one; the high half counts uses */
	uint32_t n_slots, cap_slots;
	struct sip_server_trans *free_servers;
	struct sip_client_trans *free_clients;
	size_t n_free_clients;
	struct { char *mem; size_t cap; } spares[TRANS_FREE_MAX]; /* owned: memory of buffers, the warmest last */
	size_t n_spares;
	struct buf key, out;             /* scratch */
	struct sip_stats stats;
};

/* trans.c */
/* A copy of header lists of a configuration; NULL for none. */
struct sip_extra *trans_extras_dup(const struct sip_extra *v, size_t n);
void trans_extras_free(struct sip_extra *v, size_t n);
/* A copy with a NUL behind it; p == NULL when empty. */
struct slice trans_text_dup(struct slice s);
void trans_text_free(struct slice *s);
/* Memory for a buffer that has none, if there is some. */
void trans_buf_lend(struct sip_stack *s, struct buf *b);
/* Empties the buffer and takes its memory. */
void trans_buf_return(struct sip_stack *s, struct buf *b);
/* Each usage is told; it may free itself, and no other. */
void trans_usages_gone(struct sip_stack *s);
void trans_route(struct sip_stack *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		 const struct sip_flow *from);
int trans_send(struct sip_stack *s, const struct sip_flow *to, struct slice bytes);
/* Where the answer to a request goes (RFC 3261 18.2.2, RFC 3581 4); *ret_port is the sent-by port with its default. */
void trans_answer_flow(const struct sip_flow *from, const struct sip_via *via, struct sip_flow *ret, uint16_t *ret_port);
/* `extra`: one more header, or NULL. */
void trans_refuse(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m, int status, struct slice reason,
		  uint32_t retry_after, const struct sip_extra *extra);

/* trans_server.c */
void trans_server_input(struct sip_stack *s, const struct sip_flow *from, struct sip_msg *m, struct arena *a);
void trans_server_end(struct sip_server_trans *st);
void trans_server_free_all(struct sip_stack *s);

/* trans_client.c */
void trans_client_input(struct sip_stack *s, const struct sip_flow *from, const struct sip_msg *m);
void trans_client_flow_failed(struct sip_stack *s, const struct sip_flow *flow);
void trans_client_free_all(struct sip_stack *s);
/* Writes `request` with our Via behind its start line; *ret_branch points into out. False when it is no request or does
 * not fit. */
bool trans_insert_via(struct sip_stack *s, struct buf *out, const struct sip_flow *to, struct slice request,
		      const struct sip_client_opts *opts, struct slice *ret_branch);
