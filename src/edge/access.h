/* SPDX-License-Identifier: Apache-2.0 */
/* The Access Edge: the SIP side towards other organisations, one instance per worker. Partners connect by mutual TLS, and we to them,
 * found by _sipfederationtls._tcp or where the administrator says; whose connection it is, its certificate says, never its address.
 * Every request is judged by policy_decide, in both directions, inside dialogs too; what passes goes through the proxy core
 * (edge/access_proxy.h). Connections of partners carry their requests and our answers only, connections of ours the other way round.
 *
 * Thread: its worker's, except where said. */
#pragma once
#include "edge/access_certs.h"
#include "edge/access_proxy.h"
#include "edge/access_shared.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/revocation.h"
#include "net/tls.h"
#include "policy/snapshot.h"

struct access;

struct access_ops {
	/* As access_proxy_ops.home. */
	bool (*home)(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact);
	/* Does it understand ms-edge-proxy-message-trust? */
	bool (*lync)(void *arg, uint32_t home);
	/* The local part of a URI's user as the rest of Entente has it (the prepared bare JID's), asked when it is not plain ASCII in small
	 * letters, digits, dots, hyphens and underscores. False: there is none. May be NULL: letters are made small. */
	bool (*user)(void *arg, struct arena *a, const struct sip_uri *u, struct slice *ret);
	/* A local user has written to, called or watched a remote one for the first time. Users as "user@domain". May be NULL. */
	void (*learned)(void *arg, struct slice local, struct slice remote, enum sip_method by);
	/* As access_proxy_ops.elsewhere. May be NULL. */
	bool (*elsewhere)(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from, enum reason reason);
};

struct access_settings { /* what may change while it runs */
	struct sip_limits limits;
	uint32_t connect_ms;    /* a connection with its handshake; half a message */
	uint32_t keepalive_ms;
	uint32_t unproven_ms;   /* how long a caller may be silent of whom nothing was let in */
	uint32_t stuck_ms;      /* how long a peer may not read what it is sent */
	uint32_t conns_per_partner; /* of callers with one certificate, all workers */
	size_t queue_octets;
	struct access_rules rules;
	bool sips_fallback; /* a partner without _sipfederationtls._tcp may be found by _sips._tcp and its addresses; its certificate names the domain then */
	bool revocation_hard;          /* who cannot be looked up is not believed */
};

struct access_config {
	struct worker *worker;
	struct dns *dns;
	struct snapshot_slot *policy;
	struct access_shared *shared;
	struct trace *trace;           /* shared by the workers; NULL: nobody looks */
	struct access_certs *certs;       /* may be NULL */
	struct record_log *records;       /* the worker's decision log; NULL: none. It outlives this */
	struct revocation *revocation;    /* NULL: nobody is looked up */
	struct sip_stack *inner;       /* its callbacks for our transactions: access_cancelled, access_gone */
	struct slice name;             /* ours, as in the certificate: "sip.contoso.com" */
	struct slice outer_name;       /* with the port: "sip.contoso.com:5061"; the worker's Via and Record-Route */
	struct slice route_name;       /* in Record-Route instead of it; may be empty */
	const struct access_own *own;  /* all our names, inner ones too */
	size_t n_own;
	size_t max_transactions;       /* at once, in each direction; 0: 20000 */
	struct access_settings set;
};

/* Texts are borrowed until free. */
struct access *access_new(const struct access_config *cfg, const struct access_ops *ops, void *arg);
/* Before the inner stack. Accepts NULL; returns NULL. */
struct access *access_free(struct access *e);
void access_set_tls(struct access *e, struct tls_ctx *tls);
void access_set(struct access *e, const struct access_settings *set);
/* Takes an accepted connection. */
void access_accept(struct access *e, int fd, struct gate_pass *pass);
/* New requests are answered 503. */
void access_quiesce(struct access *e);
/* Of the outer side; see sip_stack_waiting. */
size_t access_waiting(struct access *e);

/* A request of a home for a domain that policy_is_sip; as sip_stack_ops.request. */
void access_request(struct access *e, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from);
void access_cancelled(struct access *e, struct sip_server_trans *st);
void access_gone(struct access *e, struct sip_server_trans *st);

struct access_conn_facts {
	uint64_t id;
	bool inbound;
	const char *state;          /* "connecting" "checking" "up" */
	const char *revocation;     /* of its certificate; see revocation_state_name */
	struct slice address, host, subject, protocol, cipher;
	struct slice domain;        /* the last one that it was used for */
	uint64_t requests, age_ms, idle_ms;
};
void access_each_conn(struct access *e, void (*fn)(void *arg, const struct access_conn_facts *f), void *arg);
void access_each_leg(struct access *e, void (*fn)(void *arg, const struct access_leg_facts *f), void *arg);
