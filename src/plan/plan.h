/* SPDX-License-Identifier: Apache-2.0 */
/* What an organisation needs around its federation server: the names in its certificates, the records in its DNS, the openings
 * in its firewalls (Lync's planning tables "certificate summary", "DNS summary", "port summary"). Pure: the same site gives the
 * same plan, whatever the world looks like. Any thread.
 *
 * Everything in a plan lives in the arena that was given; texts of the site are borrowed and must outlive it. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct plan_endpoint { /* a listener of ours, a home's next hop, an edge */
	struct slice name;      /* of a home; else empty */
	struct slice transport; /* "udp" "tcp" "tls" */
	struct slice host;      /* address or name; empty: every address */
	uint16_t port;
};

struct plan_site {
	struct slice server_name;                   /* the external name of this server, target of the XMPP records */
	const struct slice *domains; size_t n_domains; /* ours, A-labels; the first one heads the certificate */
	const struct slice *addresses; size_t n_addresses; /* public ones; more than one: a pool behind DNS; may be none (placeholders) */
	const struct plan_endpoint *homes; size_t n_homes;
	const struct plan_endpoint *internal; size_t n_internal; /* where homes reach us */
	uint16_t xmpp_port, xmpp_direct_port;       /* 0: not offered */
	bool sip_federation;                        /* mutual TLS on 5061 with SIP organisations */
	bool sip_client_eku;                        /* some partner asks for a certificate that is good for clients too */
	uint16_t link_port;                         /* an edge's, where its gateway connects to; 0: none */
	const struct plan_endpoint *edges; size_t n_edges; /* a gateway's: the edges that it connects to */
	struct slice outside;                       /* the one address for partners' connections that the configuration names; empty: all */
	struct slice load_balancer;                 /* public address that SIP partners connect to, in the place of the edges'; empty: none */
	bool client_slot;                           /* a certificate of its own for connections that we make */
	bool revocation;                            /* lists of revoked certificates are fetched */
	struct plan_endpoint metrics, admin;        /* port 0: nobody from elsewhere may ask */
	struct slice wildcard;                      /* in the certificate that is there now; empty: none */
};

/* ---- certificates ---- */
enum plan_usage { PLAN_EXTERNAL, PLAN_CLIENT /* shown only where we connect to partners */, PLAN_INTERNAL };
struct plan_certificate {
	enum plan_usage usage;
	struct slice subject;        /* also the first of the names */
	const struct slice *names; size_t n_names; /* dNSName each, no duplicates */
	bool client_eku;             /* beside serverAuth */
	struct slice issuer;         /* who should issue it */
	struct slice note;           /* what else there is to know; may be empty */
};

/* ---- DNS ---- */
enum plan_record_type { PLAN_A, PLAN_AAAA, PLAN_SRV };
struct plan_record {
	enum plan_record_type type;
	struct slice zone;    /* the domain whose zone holds it, as far as that can be known: the domain itself */
	struct slice name;    /* full, no final dot */
	uint16_t priority, weight, port; /* SRV */
	struct slice target;  /* SRV: a name; else an address, or "<...>" where only the administrator knows it */
	struct slice purpose;
	bool internal;        /* for the own network only: the formats to paste leave it out */
};

/* ---- ports ---- */
struct plan_port {
	bool inbound;         /* to this server */
	bool internal;        /* on the side of the own network */
	struct slice protocol; /* "XMPP", "SIP over TLS" ... */
	struct slice transport; /* "tcp", "udp" */
	uint16_t port;        /* of the destination */
	struct slice source, destination; /* in words, or an address */
	struct slice purpose;
};

struct plan_warning {
	const char *id;       /* plan/... stable */
	struct slice text;    /* what, why, what to do */
};

struct plan {
	struct plan_certificate *certificates; size_t n_certificates;
	struct plan_record *records; size_t n_records;
	struct plan_port *ports; size_t n_ports;
	struct plan_warning *warnings; size_t n_warnings;
};

enum { PLAN_DOMAINS_MAX = 1024, PLAN_ADDRESSES_MAX = 64 };

/* ENTENTE_ELIMIT: more domains or addresses than the limits, or the arena is full; ENTENTE_EINVAL: no domain. *ret is then
 * untouched. */
int plan_make(struct plan *ret, struct arena *a, const struct plan_site *site);

const char *plan_record_type_text(enum plan_record_type t);

/* ---- to paste elsewhere; records and ports that depend on what only the administrator knows are commented out ---- */
enum plan_dns_format { PLAN_DNS_BIND, PLAN_DNS_NSUPDATE, PLAN_DNS_AWS, PLAN_DNS_AZURE, PLAN_DNS_GCLOUD };
void plan_dns_print(struct buf *out, const struct plan *p, enum plan_dns_format format);
/* Rules for nftables(8), one table with a chain per direction. */
void plan_nftables_print(struct buf *out, const struct plan *p);
/* An OpenSSL request configuration for `openssl req -new -config`. */
void plan_openssl_print(struct buf *out, const struct plan_certificate *c);
