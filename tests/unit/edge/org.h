/* SPDX-License-Identifier: Apache-2.0 */
/* Organisations with an XMPP proxy each, on one loop, over real sockets on 127.0.0.1, with certificates made on the spot. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/buf.h"
#include "edge/xmpp_proxy.h"
#include "edge/xmpp_test.h"
#include "../net/pki.h"
#include "journal.h"

struct org {
	const char *domain;
	struct worker worker;        /* only its loop is real: fixed addresses need no DNS */
	struct snapshot_slot policy;
	struct xmpp_quota *quota;
	struct xmpp_history *history;
	struct xmpp_tests *tests;
	struct trace *trace;
	bool pong;                   /* answers pings */
	struct xmpp_seen *certificates;
	struct xmpp_proxy *proxy;
	struct listener *listener, *second;
	char address[16];            /* of the second */
	struct xmpp_proxy_settings set;
	struct policy_partner partner; /* the other one, as org_publish puts it into the policy; no domain: no partner */
	uint32_t partner_limit;      /* gateway-wide, 0: default */
	struct buf seen;             /* stanzas: "from>to name id\n" */
	struct buf sent;             /* "id reason text\n", with `confirm` also "id handed\n" "id handed acks\n" */
	bool confirm, acked_only;    /* of the tickets that org_send makes */
	struct buf links;            /* "up local remote\n" */
	unsigned busy_ms;            /* what the taker of stanzas asks for */
	bool hold;                   /* accept connections, say nothing */
	int held[64];
	size_t n_held;
	int drained;
	void (*on_sent)(struct org *o, const struct xmpp_ticket *t, enum reason reason);
	bool forward_alive;
	bool keep;                   /* receipts stay with the test */
	struct xmpp_receipt receipts[16];
	size_t n_receipts;
};

struct orgs {
	struct loop *loop;
	struct org a, b; /* a.test, b.test */
};

/* What the proxies get as revocation; NULL at first. */
extern struct revocation *org_revocation;
/* Fixtures of cmocka. For the group: a journal, and certificates of "ca": a, b, b2 (another one of b.test), wrong, old (expired),
 * self (signed by itself; b.test too). For a test: *state is a struct orgs, both with their certificates. */
int orgs_group_setup(void **state);
int orgs_group_teardown(void **state);
int orgs_begin(void **state);
int orgs_end(void **state);

void orgs_setup(struct orgs *o);
void orgs_teardown(struct orgs *o);
/* Files first (pki_write): NAME.pem and NAME.key; trust from ca.pem. */
void org_tls(struct org *o, const char *certificate);
void org_tls_slots(struct org *o, const char *server, const char *client);
/* Publishes the policy anew and lets the proxy look at it. */
void org_publish(struct org *o);
/* A message with this id from user@org to user@`to`; its fate is in o->sent. */
void org_send(struct org *o, const char *to, const char *id);
void org_send_octets(struct org *o, const char *to, const char *id, size_t octets);
/* A second listener, on port 5270; `other` connects there from now on. */
void org_listen_5270(struct org *o, struct org *other, bool direct);
uint16_t org_port(const struct org *o);

/* A stranger: a blocking socket from 127.0.0.`host`. */
int stranger_connect(const struct org *to, unsigned host);
void stranger_send(int fd, const char *text);
/* Everything readable now, after some turns. */
void stranger_read(struct orgs *o, int fd, struct buf *b);
/* "I am b.test, here is my key", to a.test. */
#define STRANGER_CLAIM(key)                                                                        \
	"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "    \
	"xmlns:db='jabber:server:dialback' from='b.test' to='a.test' version='1.0'>"               \
	"<db:result from='b.test' to='a.test'>" key "</db:result>"

bool buf_has(const struct buf *b, const char *text);
unsigned buf_lines(const struct buf *b);
/* Turns the loop until cond or 10 seconds are over. */
#define UNTIL(loop, cond)                                                                          \
	do {                                                                                       \
		for (uint64_t end_ = clock_ms() + 10000; !(cond) && clock_ms() < end_;)            \
			loop_once((loop), 2);                                                      \
		assert_true(cond);                                                                 \
	} while (0)
void turn(struct loop *l, uint64_t ms);
/* How many facts have this state (NULL: any) and direction. */
unsigned org_streams(struct org *o, const char *state, bool inbound);
