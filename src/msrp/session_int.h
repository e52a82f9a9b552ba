/* SPDX-License-Identifier: Apache-2.0 */
/* Private to hub.c (who is bound to which line), receive.c (chunks in) and session.c (life, texts out). */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "msrp/session.h"

struct line { /* one that sessions are bound to */
	struct map_node node; /* key: id */
	uint64_t id;
	struct list sessions;
	unsigned visited;
};

struct msrp_hub {
	struct timers *timers;
	const struct msrp_hub_ops *ops;
	void *arg;
	struct map sessions, lines;
	size_t partial_octets; /* of all sessions */
	struct buf out; /* scratch */
};

struct text { /* one of ours */
	struct list node;      /* in urgent, queue or waiting */
	uint64_t number;
	char id[24];           /* Message-ID */
	struct slice type, headers, body; /* behind this struct */
	size_t handed;         /* octets of body in chunks so far */
	size_t pending;        /* chunks without answer */
	bool begun, complete;  /* a chunk, or the last one, was handed over */
	bool success_report, urgent;
	enum msrp_failure failure_report;
};

struct tx { /* a request of ours that may be answered */
	struct list node;
	char tid[20];
	struct text *text;     /* NULL: the bodiless one */
	uint64_t due;
};

struct record { /* a text of ours that is over, for REPORTs */
	uint64_t number;
	char id[24];
	size_t size, covered;
	bool told;
};

struct span {
	size_t from, to;
};

struct partial { /* a message of which chunks have come */
	struct list node;
	char *id, *type;       /* owned; type NULL: unknown so far */
	char *mem;             /* owned */
	size_t cap;
	struct span spans[MSRP_RANGES];
	size_t n_spans;
	bool ended;            /* the chunk with '$' was there: */
	size_t size;
	uint64_t touched;
};

struct seen { /* a message that was whole, or is refused */
	char *id;              /* owned; NULL: no entry */
	char tid[MSRP_TID_MAX + 1];
	uint64_t token;        /* 0: answered */
	int status;
	size_t size;
	bool success_report, reported, whole;
	enum msrp_failure failure_report;
};

struct chunk { /* the request that is coming in */
	bool active, skip; /* skip: its data is not wanted */
	bool success_report;
	char tid[MSRP_TID_MAX + 1];
	struct partial *partial;
	size_t at;
	int status;            /* to answer at its end; 0: was answered */
	enum msrp_failure failure_report;
};

struct msrp_session {
	struct map_node node;  /* key: id */
	struct msrp_hub *hub;
	const struct msrp_session_ops *ops;
	void *arg;
	char *id, *from_path, *to_path; /* owned; to_path NULL: not known yet */
	char *peer_path;       /* owned: From-Path of the last request */
	struct msrp_session_config cfg;
	struct list on_line;
	uint64_t line;
	bool up, open, over, dead;
	unsigned busy;
	struct timer bind, response, stale, turn;
	/* out */
	struct list urgent, queue, waiting; /* waiting: complete, not all answered */
	struct list done;                   /* over, to be told by `turn` */
	struct list txs;
	size_t n_texts, text_octets;
	bool blocked;
	uint64_t next_number;
	struct record records[MSRP_SEEN];
	size_t next_record;
	/* in */
	struct chunk chunk;
	struct list partials;
	size_t n_partials, partial_octets;
	struct seen seen[MSRP_SEEN];
	size_t next_seen;
	uint64_t next_token;
	uint64_t messages_in, messages_out, octets_in, octets_out;
};

/* hub.c */
bool msrp_hub_write(struct msrp_hub *h, uint64_t line); /* what is in h->out */
void msrp_hub_bind(struct msrp_session *s, uint64_t line);
void msrp_hub_unbind(struct msrp_session *s);
void msrp_hub_respond(struct msrp_hub *h, uint64_t line, struct slice tid, enum msrp_failure f, int status, struct slice comment,
		 struct slice to, struct slice from);

/* session.c; a session that is entered is not freed before it is left */
void msrp_session_enter(struct msrp_session *s);
bool msrp_session_leave(struct msrp_session *s); /* false: it is gone */
void msrp_session_opened(struct msrp_session *s);
void msrp_session_over(struct msrp_session *s, enum msrp_end why, int status, uint64_t number);
void msrp_session_response(struct msrp_session *s, const struct msrp_head *h);
void msrp_session_reported(struct msrp_session *s, const struct msrp_head *h);

/* receive.c */
void msrp_receive_head(struct msrp_session *s, const struct msrp_head *h, const struct msrp_piece *p);
void msrp_receive_data(struct msrp_session *s, const struct msrp_piece *p);
void msrp_receive_free(struct msrp_session *s);
void msrp_receive_stale(struct timer *t, uint64_t now);
