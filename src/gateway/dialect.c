/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dialect.h"

#include "gateway/gateway_int.h"
#include "sip/sdp.h"

static const struct dialect rows[] = {
#define DIALECT(id, name, carrier, falls_back, typing, receipts, presence, ms_headers, accept_types)                                                 \
	{GATEWAY_DIALECT_##id, name, DIALECT_##carrier, falls_back, DIALECT_##typing, DIALECT_##receipts, PIDF_##presence, ms_headers,           \
	 accept_types},
#include "gateway/dialect.def"
#undef DIALECT
};

const struct dialect *dialect_row(enum gateway_dialect id)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].id == id)
			return &rows[i];
	return &rows[0];
}

const char *gateway_dialect_name(enum gateway_dialect d)
{
	return d == GATEWAY_DIALECT_AUTO ? "auto" : dialect_row(d)->name;
}

/* ---- finding out */

static enum gateway_dialect of_software(struct slice product)
{
	static const struct {
		struct slice part;
		enum gateway_dialect dialect;
	} marks[] = {
		{S("RTC/"), GATEWAY_DIALECT_LYNC},   {S("UCCAPI/"), GATEWAY_DIALECT_LYNC}, {S("OC/"), GATEWAY_DIALECT_LYNC},
		{S("UCCP/"), GATEWAY_DIALECT_LYNC},  {S("CPE/"), GATEWAY_DIALECT_LYNC},    {S("Cisco-CUP"), GATEWAY_DIALECT_CISCO},
		{S("Cisco-IMP"), GATEWAY_DIALECT_CISCO},
	};
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		ptrdiff_t at = slice_find(product, marks[i].part);
		if (at == 0 || (at > 0 && product.p[at - 1] == ' '))
			return marks[i].dialect;
	}
	return GATEWAY_DIALECT_AUTO;
}

enum gateway_dialect dialect_heard(const struct sip_msg *m)
{
	static const enum sip_hdr products[] = {SIP_H_USER_AGENT, SIP_H_SERVER};
	struct sdp sdp;
	struct sdp_im_media im;
	for (size_t i = 0; i < 2; i++) {
		const struct sip_header *h = sip_msg_header(m, products[i], 0);
		enum gateway_dialect d = h ? of_software(h->value) : GATEWAY_DIALECT_AUTO;
		if (d)
			return d;
	}
	if (!m->is_request || m->method != SIP_INVITE || !m->body.len || sdp_parse(&sdp, m->body) ||
	    !sdp_im_find(&sdp, 1u << SDP_IM_SIP | 1u << SDP_IM_MSRP, &im))
		return GATEWAY_DIALECT_AUTO;
	return im.form == SDP_IM_MSRP ? GATEWAY_DIALECT_MSRP : GATEWAY_DIALECT_LYNC;
}

bool gateway_home(struct gateway *g, uint32_t home, struct gateway_home *ret)
{
	*ret = (struct gateway_home){0};
	bool known = home != UINT32_MAX && g->ops->home(g->arg, home, ret);
	ret->dialect = dialect_row(ret->setting ? ret->setting : ret->learned);
	return known;
}

void gateway_home_heard(struct gateway *g, uint32_t home, const struct sip_msg *m)
{
	struct gateway_home h;
	enum gateway_dialect d;
	if (!g->ops->home_learned || !gateway_home(g, home, &h) || h.setting)
		return;
	/* What a client offers says less than what the server calls itself, which may be an INVITE passed through from elsewhere: a
	 * home that was Lync stays Lync. */
	d = dialect_heard(m);
	if (d && d != h.learned && h.learned != GATEWAY_DIALECT_LYNC)
		g->ops->home_learned(g->arg, home, d);
}
