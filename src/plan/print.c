/* SPDX-License-Identifier: Apache-2.0 */
/* The plan in the words of other programs, to be pasted there. */
#include "plan/plan.h"

enum { TTL = 3600 };

/* What only the administrator knows is in angle brackets: such a line must not be taken as it is. */
static const char *comment(struct slice target)
{
	return slice_starts(target, S("<")) ? "# " : "";
}

static void value(struct buf *out, const struct plan_record *r, bool dot)
{
	if (r->type == PLAN_SRV)
		buf_printf(out, "%u %u %u %.*s%s", r->priority, r->weight, r->port, SFMT(r->target), dot ? "." : "");
	else
		buf_put(out, r->target);
}

/* The name relative to its zone; "@" for the zone itself. */
static struct slice relative(const struct plan_record *r)
{
	if (slice_ieq(r->name, r->zone) || r->name.len <= r->zone.len)
		return S("@");
	return slice_first(r->name, r->name.len - r->zone.len - 1);
}

static void bind(struct buf *out, const struct plan_record *r)
{
	if (slice_starts(r->target, S("<")))
		buf_puts(out, "; ");
	buf_printf(out, "%.*s. %u IN %s ", SFMT(r->name), TTL, plan_record_type_text(r->type));
	value(out, r, true);
	buf_printf(out, " ; %.*s\n", SFMT(r->purpose));
}

static void nsupdate(struct buf *out, const struct plan_record *r)
{
	buf_printf(out, "%supdate add %.*s. %u %s ", slice_starts(r->target, S("<")) ? "; " : "", SFMT(r->name), TTL,
		   plan_record_type_text(r->type));
	value(out, r, true);
	buf_putc(out, '\n');
}

/* All records of one name and type are one set there, and a command replaces the whole set. */
static size_t set_length(const struct plan *p, size_t i)
{
	size_t n = 1;
	while (i + n < p->n_records && !p->records[i + n].internal && p->records[i + n].type == p->records[i].type && slice_ieq(p->records[i + n].name, p->records[i].name))
		n++;
	return n;
}

static void aws(struct buf *out, const struct plan_record *r, size_t n)
{
	buf_printf(out, "%saws route53 change-resource-record-sets --hosted-zone-id \"$ZONE_ID\" --change-batch '{\"Changes\":[{\"Action\":"
			"\"UPSERT\",\"ResourceRecordSet\":{\"Name\":\"%.*s\",\"Type\":\"%s\",\"TTL\":%u,\"ResourceRecords\":[",
		   comment(r->target), SFMT(r->name), plan_record_type_text(r->type), TTL);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? ",{\"Value\":\"" : "{\"Value\":\"");
		value(out, &r[i], false);
		buf_puts(out, "\"}");
	}
	buf_puts(out, "]}}]}'\n");
}

static void azure(struct buf *out, const struct plan_record *r)
{
	static const char *const verb[] = {[PLAN_A] = "a", [PLAN_AAAA] = "aaaa", [PLAN_SRV] = "srv"};
	static const char *const address[] = {[PLAN_A] = "--ipv4-address", [PLAN_AAAA] = "--ipv6-address"};
	buf_printf(out, "%saz network dns record-set %s add-record --resource-group \"$GROUP\" --zone-name %.*s --record-set-name %.*s ",
		   comment(r->target), verb[r->type], SFMT(r->zone), SFMT(relative(r)));
	if (r->type == PLAN_SRV)
		buf_printf(out, "--priority %u --weight %u --port %u --target %.*s\n", r->priority, r->weight, r->port, SFMT(r->target));
	else
		buf_printf(out, "%s %.*s\n", address[r->type], SFMT(r->target));
}

static void gcloud(struct buf *out, const struct plan_record *r, size_t n)
{
	buf_printf(out, "%sgcloud dns record-sets create %.*s. --zone=\"$ZONE\" --type=%s --ttl=%u --rrdatas=\"", comment(r->target),
		   SFMT(r->name), plan_record_type_text(r->type), TTL);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		value(out, &r[i], true);
	}
	buf_puts(out, "\"\n");
}

void plan_dns_print(struct buf *out, const struct plan *p, enum plan_dns_format format)
{
	struct slice zone = SLICE_NONE;
	for (size_t i = 0, n; i < p->n_records; i += n) {
		const struct plan_record *r = &p->records[i];
		n = 1;
		if (r->internal) /* these go to the DNS that partners see */
			continue;
		switch (format) {
		case PLAN_DNS_BIND:
			bind(out, r);
			break;
		case PLAN_DNS_NSUPDATE: /* an update message concerns one zone */
			if (!slice_ieq(zone, r->zone))
				buf_printf(out, "%szone %.*s.\n", zone.len ? "send\n" : "", SFMT(r->zone));
			zone = r->zone;
			nsupdate(out, r);
			break;
		case PLAN_DNS_AWS:
			n = set_length(p, i);
			aws(out, r, n);
			break;
		case PLAN_DNS_AZURE:
			azure(out, r);
			break;
		case PLAN_DNS_GCLOUD:
			n = set_length(p, i);
			gcloud(out, r, n);
			break;
		}
	}
	if (zone.len)
		buf_puts(out, "send\n");
}

static bool is_address(struct slice s, bool *ret_ipv6)
{
	*ret_ipv6 = slice_find_chr(s, ':') >= 0;
	for (size_t i = 0; i < s.len; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '.' && !*ret_ipv6)
			return false;
	return s.len > 0;
}

/* The variable for the source of an internal row. */
static const char *network(const struct plan_port *o)
{
	return slice_eq(o->source, S("the gateway host")) ? "GATEWAYS" : slice_eq(o->source, S("the monitoring host")) ? "MONITORS" :
	       slice_eq(o->source, S("the administrators")) ? "ADMINS" : "HOMES";
}

static void chain(struct buf *out, const struct plan *p, bool inbound)
{
	buf_printf(out, "\tchain %s {\n", inbound ? "incoming" : "outgoing");
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct plan_port *o = &p->ports[i];
		bool ipv6;
		if (o->inbound != inbound)
			continue;
		buf_puts(out, "\t\t");
		if (o->internal && inbound)
			buf_printf(out, "ip saddr $%s ", network(o));
		if (!inbound && is_address(o->destination, &ipv6))
			buf_printf(out, "%s daddr %.*s ", ipv6 ? "ip6" : "ip", SFMT(o->destination));
		buf_printf(out, "%.*s dport %u accept comment \"%.*s: %.*s\"\n", SFMT(o->transport), o->port, SFMT(o->protocol), SFMT(o->purpose));
	}
	buf_puts(out, "\t}\n");
}

void plan_nftables_print(struct buf *out, const struct plan *p)
{
	static const char *const networks[][2] = {{"HOMES", "the network of your SIP servers"},
						  {"GATEWAYS", "the hosts with the gateway role"},
						  {"MONITORS", "the hosts that collect metrics"},
						  {"ADMINS", "the administrators' machines"}};
	buf_puts(out, "# Jump to these chains from your own input and output chains, after `ct state established,related accept`.\n");
	for (size_t k = 0; k < sizeof networks / sizeof *networks; k++) {
		bool used = false;
		for (size_t i = 0; i < p->n_ports; i++)
			used |= p->ports[i].inbound && p->ports[i].internal && strcmp(network(&p->ports[i]), networks[k][0]) == 0;
		if (used)
			buf_printf(out, "define %s = { 10.0.0.0/8 } # %s\n", networks[k][0], networks[k][1]);
	}
	buf_puts(out, "table inet entente {\n");
	chain(out, p, true);
	chain(out, p, false);
	buf_puts(out, "}\n");
}

void plan_openssl_print(struct buf *out, const struct plan_certificate *c)
{
	buf_printf(out, "[req]\nprompt = no\ndistinguished_name = subject\nreq_extensions = extensions\n\n[subject]\nCN = %.*s\n\n"
			"[extensions]\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = serverAuth%s\nsubjectAltName = @names\n\n[names]\n",
		   SFMT(c->subject), c->client_eku ? ", clientAuth" : "");
	for (size_t i = 0; i < c->n_names; i++)
		buf_printf(out, "DNS.%zu = %.*s\n", i + 1, SFMT(c->names[i]));
}
