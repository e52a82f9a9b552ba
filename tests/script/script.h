/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of raw peers (README.md has the language): a world is one script at work in a house of its own (../unit/gateway/house.h).
 * Whatever is wrong ends the cmocka test with words that name script and line. One thread; all memory is the world's arena. */
#pragma once
#include "../unit/gateway/house.h"

struct line {
	int number;
	bool inside; /* indented: belongs to the step above */
	struct slice text; /* without outer white space */
};

struct script {
	const char *name;   /* "3.1/trying-423" */
	const char *path;
	struct line *lines; /* without comments and empty ones */
	size_t n_lines;
};

struct var {
	struct slice name, value;
};

struct talk { /* a SIP dialog or whatever shares a Call-ID */
	struct slice label, call_id;
	struct slice peer, peer_tag, gw, gw_tag, gw_target; /* URIs; the peer is what the script plays */
	unsigned cseq;                    /* the peer's last */
	struct slice branch, uri;         /* of its last INVITE, for ACK and CANCEL */
	unsigned invite_cseq;
	bool refused;                     /* that INVITE: its ACK is part of the transaction */
	struct slice last;                /* what the peer sent last, to be repeated */
	struct sip_msg *asked;            /* the gateway's last request here */
	bool open;                        /* and it has no final answer */
	struct talk *next;
};

struct thing { /* came out of the gateway */
	bool stanza, taken;
	struct slice bytes;
	struct sip_msg *msg;
	struct xml_node *node;
	struct thing *next;
};

struct world {
	const struct script *script;
	const struct line *at; /* the step at work */
	const struct line *round; /* of "for each"; or NULL */
	struct house *house;
	struct arena *arena;
	struct var vars[256];
	size_t n_vars;
	struct talk *talks, *last_talk; /* of the gateway's last request */
	struct thing *things, **tail;
	struct slice always[16]; /* methods that the home answers by itself */
	int always_status[16];
	size_t n_always;
	struct xml_node *ignored[16]; /* stanzas that nobody needs to look at */
	size_t n_ignored;
	unsigned numbers;  /* of tags, branches, Call-IDs */
	bool moved;        /* a message has passed */
};

/* ---- script.c */
void script_read(struct script *ret, struct arena *a, const char *path, const char *name);
/* Values of all lines "row: ..." ("2.1 status *": all that begin so), one after the other; *i starts at 0. p == NULL: no more. */
struct slice script_row(const struct script *s, size_t *i);
void script_run(const struct script *s);
/* A world for others than scripts; `at` is what wrong() names. */
struct world *world_new(const struct script *s, const struct line *at);
/* Ends the house, which has its own checks. */
void world_free(struct world *w);
#define wrong(w, ...) wrong_((w), __VA_ARGS__)
void wrong_(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

/* ---- match.c */
/* Variables put in: $name, ${name}; $$ is a dollar. In names of headers, text and everything else that is sent. */
struct slice expand(struct world *w, struct slice text);
void var_set(struct world *w, struct slice name, struct slice value);
/* Does the text match the pattern? `*` stands for anything, $name for the value of that variable, or if it has none gives it one (not
 * empty); a backslash takes the meaning of the next character. Variables that were set stay set only when it matches. */
bool match_text(struct world *w, struct slice pattern, struct slice text);
/* The same of an element; *why says what differs. Elements and attributes that the pattern does not name: see README.md. */
bool match_xml(struct world *w, const struct xml_node *pattern, const struct xml_node *node, bool top, struct slice *why);
/* The only element of a text in which the namespace may be left open, and some prefixes are known. */
struct xml_node *xml_pattern(struct world *w, struct slice text);
bool match_body(struct world *w, struct slice pattern, struct slice body, struct slice *why);
/* With control characters made visible. */
struct slice shown(struct world *w, struct slice text);

/* ---- peer.c */
/* What belongs to a step: header lines, body lines, both unexpanded. */
struct block {
	const struct line *lines;
	size_t n;
};
void home_step(struct world *w, struct slice words, const struct block *b);
void partner_step(struct world *w, struct slice words, const struct block *b);
/* What the peers know of a dialog when they have seen this message of the gateway's. */
struct talk *world_learn(struct world *w, struct sip_msg *m);
/* An answer to this request, with the defaults of `home answers`. Empty words: some. */
void home_answer(struct world *w, struct talk *t, const struct sip_msg *m, int status, struct slice words, const struct block *b);
/* Keeps what went out; for house.out. */
void world_keep(void *arg, bool stanza, struct slice bytes);
/* Answers what the home always answers. */
void world_settle(struct world *w);
/* Fails when something came that the script has not looked at. */
void world_nothing(struct world *w);

/* ---- rows.c */
/* Checks tests/script/rows against the scripts and the unit tests; false after having said why. */
bool rows_check(const char *root, const struct script *scripts, size_t n, bool strict);
