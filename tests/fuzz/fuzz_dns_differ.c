/* SPDX-License-Identifier: Apache-2.0 */
/* DNS answers, read by us and by ldns. The first octet chooses: the data of one record of a type that we ask for, or a whole packet, of whose answer
 * section we count aliases where the lengths of its records are right. What we take ldns takes and reads the same; what ldns takes and we do not has a name or a text that we do not want. */
#include "fuzz.h"
#include <ldns/ldns.h>
#include "net/dns_int.h"

static bool name_octet(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A name as ldns has it (labels), as text without the final dot; false when it has what no host has. */
static bool labels(const ldns_rdf *f, char ret[256])
{
	const uint8_t *p = ldns_rdf_data(f);
	size_t n = 0, len = ldns_rdf_size(f);
	for (size_t at = 0; at < len && p[at];) {
		size_t label = p[at++];
		if (n)
			ret[n++] = '.';
		for (size_t i = 0; i < label; i++) {
			if (!name_octet(p[at + i]))
				return false;
			ret[n++] = (char)(p[at + i] >= 'A' && p[at + i] <= 'Z' ? p[at + i] + 32 : p[at + i]);
		}
		at += label;
	}
	ret[n] = 0;
	return n <= DNS_NAME_MAX;
}

static bool plain(const ldns_rdf *f, struct slice *ret)
{
	const uint8_t *p = ldns_rdf_data(f);
	*ret = slice_of((const char *)p + 1, p[0]);
	for (size_t i = 0; i < ret->len; i++)
		if (ret->p[i] < 0x20 || ret->p[i] == 0x7f)
			return false;
	return true;
}

static bool octets(struct slice s, const ldns_rdf *f)
{
	return slice_eq(s, slice_of((const char *)ldns_rdf_data(f), ldns_rdf_size(f)));
}

/* Pointers are for packets: in the data of a record that libunbound gives out there are none. */
static bool compressed(struct slice name)
{
	while (name.len && name.p[0]) {
		if ((uint8_t)name.p[0] > 63)
			return true;
		name = slice_skip(name, (size_t)(uint8_t)name.p[0] + 1);
	}
	return false;
}

static void record(enum dns_type type, struct slice data)
{
	uint8_t wire[16 + 1024];
	size_t pos = 0;
	ldns_rr *rr = NULL;
	struct dns_record r;
	char name[256];
	struct slice text;
	if (data.len > 1024)
		return;
	struct arena *a = arena_new(1 << 16);
	const uint8_t head[] = {0, 0, (uint8_t)type, 0, 1, 0, 0, 0, 9, (uint8_t)(data.len >> 8), (uint8_t)data.len};
	memcpy(wire, head, sizeof head);
	memcpy(wire + sizeof head, data.len ? data.p : "", data.len);
	bool ours = dns_parse(type, data, a, &r);
	bool theirs = ldns_wire2rr(&rr, wire, sizeof head + data.len, &pos, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK;
	theirs = theirs && ldns_rr_rd_count(rr) == (type == DNS_NAPTR ? 6u : type == DNS_SRV || type == DNS_TLSA ? 4u : 1u);
	MUST(!ours || theirs);
	size_t used = 0; /* ldns forgives what is left over */
	for (size_t i = 0; theirs && i < ldns_rr_rd_count(rr); i++)
		used += ldns_rdf_size(ldns_rr_rdf(rr, i));
	if (theirs && type == DNS_SRV) {
		bool good = used == data.len && !compressed(slice_skip(data, 6)) && labels(ldns_rr_rdf(rr, 3), name);
		MUST(!good || ours);
		if (ours) {
			MUST(good && slice_eq(r.srv.target, slice_str(name)));
			MUST(r.srv.priority == ldns_rdf2native_int16(ldns_rr_rdf(rr, 0)) && r.srv.weight == ldns_rdf2native_int16(ldns_rr_rdf(rr, 1)) &&
			     r.srv.port == ldns_rdf2native_int16(ldns_rr_rdf(rr, 2)));
		}
	} else if (ours && type == DNS_NAPTR) {
		MUST(r.naptr.order == ldns_rdf2native_int16(ldns_rr_rdf(rr, 0)) && r.naptr.preference == ldns_rdf2native_int16(ldns_rr_rdf(rr, 1)));
		MUST(plain(ldns_rr_rdf(rr, 2), &text) && slice_eq(r.naptr.flags, text));
		MUST(plain(ldns_rr_rdf(rr, 3), &text) && slice_eq(r.naptr.service, text));
		MUST(plain(ldns_rr_rdf(rr, 4), &text) && slice_eq(r.naptr.regexp, text));
		MUST(labels(ldns_rr_rdf(rr, 5), name) && slice_eq(r.naptr.replacement, slice_str(name)));
	} else if (ours && type == DNS_TLSA) {
		MUST(r.tlsa.usage == ldns_rdf2native_int8(ldns_rr_rdf(rr, 0)) && r.tlsa.selector == ldns_rdf2native_int8(ldns_rr_rdf(rr, 1)) &&
		     r.tlsa.matching == ldns_rdf2native_int8(ldns_rr_rdf(rr, 2)) && octets(r.tlsa.data, ldns_rr_rdf(rr, 3)));
	} else if (type == DNS_A || type == DNS_AAAA) {
		MUST(ours == (theirs && used == data.len));
	}
	ldns_rr_free(rr);
	arena_release(NULL, a);
}

/* Does each record of question and answer end, as ldns reads it, where its length says? ldns goes on behind a name that is longer than its
 * record, and calls what it finds there the next one; libunbound gives out no such packet. */
static bool lengths_hold(const ldns_pkt *p, struct slice in)
{
	const uint8_t *wire = (const uint8_t *)in.p;
	size_t pos = 12, questions = ldns_rr_list_rr_count(ldns_pkt_question(p)), all = questions + ldns_rr_list_rr_count(ldns_pkt_answer(p));
	bool holds = true;
	for (size_t i = 0; i < all && holds; i++) {
		size_t at = pos;
		ldns_rdf *owner = NULL;
		ldns_rr *rr = NULL;
		MUST(ldns_wire2dname(&owner, wire, in.len, &at) == LDNS_STATUS_OK);
		MUST(ldns_wire2rr(&rr, wire, in.len, &pos, i < questions ? LDNS_SECTION_QUESTION : LDNS_SECTION_ANSWER) == LDNS_STATUS_OK);
		holds = i < questions || pos == at + 10 + ldns_read_uint16(wire + at + 8);
		ldns_rdf_deep_free(owner);
		ldns_rr_free(rr);
	}
	return holds;
}

static void packet(struct slice in)
{
	ldns_pkt *p = NULL;
	unsigned n = dns_count_type(in, 5);
	if (ldns_wire2pkt(&p, (const uint8_t *)in.p, in.len) == LDNS_STATUS_OK && lengths_hold(p, in)) {
		unsigned want = 0;
		for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_pkt_answer(p)); i++)
			want += ldns_rr_get_type(ldns_rr_list_rr(ldns_pkt_answer(p), i)) == LDNS_RR_TYPE_CNAME;
		MUST(n == want);
	}
	ldns_pkt_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR, DNS_TLSA};
	if (!size || size > 4096)
		return 0;
	char *exact = malloc(size);
	memcpy(exact, data + 1, size - 1);
	struct slice in = slice_of(exact, size - 1);
	if (data[0] % 6 == 5)
		packet(in);
	else
		record(types[data[0] % 6], in);
	free(exact);
	return 0;
}
