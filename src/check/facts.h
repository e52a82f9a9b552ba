/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen, for the judges of check.h. Plain data: collectors fill it, tests write it down. Slices and lists live in the collector's
 * arena; what begins with `have` says that it was collected at all. Times are seconds since 1970. */
#pragma once
#include "check/check.h"
#include "config/config.h"
#include "net/dns.h"
#include "net/tls.h"
#include "plan/plan.h"

/* ---- DNS ---- */
struct check_lookup {
	struct slice name;
	enum dns_type type;
	enum dns_status status;
	bool secure;
	unsigned cnames;
	struct slice canonical, why;
	const struct dns_record *records; size_t n;
};
struct check_dns {
	bool have;
	bool validating;             /* a trust anchor is configured */
	struct slice resolver;       /* whom was asked, for people */
	struct slice why;            /* why nobody could be asked at all */
	struct check_lookup *list; size_t n;
	const struct slice *others; size_t n_others; /* domains that are not ours and that DNS might lead here for: names of our certificate, parents */
};
/* NULL: it was not asked for. */
const struct check_lookup *check_lookup(const struct check_dns *d, struct slice name, enum dns_type type);

/* ---- certificates ---- */
enum check_cert_role { CHECK_CERT_SERVER, CHECK_CERT_CLIENT, CHECK_CERT_LINK };
enum check_cert_fault { CHECK_CERT_GOOD, CHECK_CERT_NO_FILE /* or not readable */, CHECK_CERT_NO_PEM, CHECK_CERT_NO_KEY, CHECK_CERT_BAD_KEY, CHECK_CERT_OTHER_KEY };
struct check_list { /* a revocation list that a certificate of the chain names */
	struct slice url, of;       /* of: subject of the certificate */
	bool fetched, usable, fresh, revoked;
	struct slice why;
	int64_t next_update;
};
struct check_cert {
	enum check_cert_role role;
	bool also_client;            /* a server certificate that is shown as client too */
	const char *setting;         /* "tls.certificate" */
	struct slice file, key_file;
	enum check_cert_fault fault;
	struct slice fault_text;
	/* the rest only when the certificate could be read */
	const struct tls_peer *leaf;
	struct slice key_type;       /* "RSA", "EC", "ED25519" */
	unsigned key_bits;
	struct slice signature;      /* "sha1WithRSAEncryption" */
	bool signature_weak;
	bool key_seen;               /* mode and owner are known */
	unsigned key_mode, key_uid;
	bool verified;               /* `chain` was looked at */
	enum tls_chain chain;
	struct slice chain_why, chain_top;
	size_t chain_n;
	struct slice expired;        /* subject of a certificate of the chain, not the leaf, that has expired; empty: none */
	int64_t expired_at;
	struct check_list *lists; size_t n_lists;
	const struct tls_peer *const *above; size_t n_above; /* the other certificates of the file */
};
struct check_certs {
	bool have;
	struct check_cert *list; size_t n;
};

/* ---- ports ---- */
enum check_bound { CHECK_UNBOUND, CHECK_BOUND_OURS, CHECK_BOUND_OTHER, CHECK_BOUND_UNKNOWN /* by somebody whom we may not see */ };
struct check_listener {
	const char *setting;         /* "xmpp.listen[0]" in slices of the arena, or a literal */
	struct slice transport;      /* "tcp" "udp" */
	struct addr addr;
	bool outside;                /* partners connect to it */
	enum check_bound bound;
	struct slice holder;         /* "nginx (pid 42)", "a process of user www-data" */
};
enum check_reach { CHECK_REACHED, CHECK_REFUSED, CHECK_SILENT, CHECK_NO_ROUTE, CHECK_LOCAL_FAULT /* our own limits */ };
enum check_greets { CHECK_GREETS_TLS, CHECK_GREETS_XMPP };
struct check_probe { /* one connection to a public name of ours */
	struct slice host;           /* the name */
	struct addr addr;            /* with the port */
	enum check_greets greets;
	bool here;                   /* an interface of this machine has the address */
	enum check_reach reach;
	struct slice why;            /* TLS failed, or no connection */
	const struct tls_peer *leaf; /* NULL: TLS failed or was not tried */
	struct slice protocol;       /* "TLSv1.3" */
	int took_ms;
};
struct check_ports {
	bool have;
	struct check_listener *listeners; size_t n_listeners;
	struct check_probe *probes; size_t n_probes;
	struct slice probes_skipped; /* why there are none */
};

/* ---- what the daemon knows ---- */
struct check_partner {
	struct slice domain, protocol;   /* "xmpp" "sip" */
	bool enabled, clear, ours;       /* clear: a way without TLS is open */
	struct slice how_clear;          /* in words */
	bool attempted, attempt_failed;  /* the newest attempt */
	struct slice attempt_at, attempt_text, attempt_reason, attempt_who;
	int64_t not_before, not_after;   /* of the certificate it showed; 0: not known */
	bool tested;
	struct slice verdict, step, cause, reason, test_who, next_step;
};
struct check_edge { /* of a gateway */
	struct slice peer, state, version, error;
};
struct check_live {
	bool have;                   /* the daemon answered */
	struct slice why;            /* why it did not */
	bool forbidden;              /* because it may not be asked */
	int pid, uid;                /* of the daemon; -1: not known */
	struct slice version, role;
	struct slice sandbox;        /* on, off, none (a build for tests); empty: it says nothing of one */
	struct slice sandbox_lacks;  /* what it could not lock itself out of */
	bool keys_open;              /* files are restricted, and keys are with a process of their own, but the server could open their files */
	const struct slice *problems; size_t n_problems;
	bool have_partners, tests;   /* tests: partners were to be tested */
	struct check_partner *partners; size_t n_partners;
	struct check_edge *edges; size_t n_edges;
};

/* ---- this machine ---- */
struct check_clock {
	struct slice source;         /* URL or host */
	bool heard;
	struct slice why;
	int64_t theirs, ours;        /* at the same moment */
};
struct check_time {
	bool have;
	int64_t release;             /* when this program was made */
	bool sync_known, synchronised;
	struct check_clock *clocks; size_t n_clocks;
};
struct check_file {
	bool there;
	int uid, gid;
	unsigned mode;               /* permission bits */
	uint64_t size;
};
struct check_disk {
	bool have;
	struct slice directory, fault;  /* fault: why it cannot be looked at; empty: it can */
	struct check_file state, database, wal;
	bool read_only;
	uint64_t free, total;           /* octets that the daemon may still write */
	uint64_t inodes_free, inodes;   /* 0 inodes: the file system does not count them */
	bool database_read;             /* its integrity could be looked at */
	struct slice damage;            /* what SQLite says; empty: nothing */
	int user;                       /* uid that the daemon runs as; -1: not known */
	struct slice user_name;
};
struct check_system {
	bool have;
	uint64_t descriptors;           /* limit of the daemon; 0: not known */
	struct slice descriptors_of;    /* "the running daemon", "the unit" */
	bool replaced;                  /* the program file of the running daemon was replaced */
	struct check_file socket;
	struct slice socket_path;
	bool have_unit;
	struct slice unit_active, unit_result, unit_file; /* "active" "failed"; "success" "exit-code"; "enabled" "disabled" */
	unsigned unit_restarts;
};

struct check_facts {
	int64_t now;
	struct slice file;                      /* the configuration */
	const struct config *config;            /* NULL: it could not be loaded */
	const struct config_errors *errors;     /* of loading; NULL: not looked at */
	const struct plan_site *site;           /* NULL without a configuration */
	const struct plan *plan;                /* NULL: there is none (an edge that does not know its domains) */
	struct slice plan_why;                  /* why there is none */
	const struct slice *given; size_t n_given; /* public addresses that the administrator named (--address) */
	const struct addr *local; size_t n_local;  /* of the interfaces of this machine */
	struct check_dns dns;
	struct check_certs certs;
	struct check_ports ports;
	struct check_live live;
	struct check_time time;
	struct check_disk disk;
	struct check_system system;
};
