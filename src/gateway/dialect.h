/* SPDX-License-Identifier: Apache-2.0 */
/* The dialects of the homes (rows of dialect.def), and how a home's is found out. Any thread; private to the gateway but for
 * gateway_dialect_name in gateway.h. */
#pragma once
#include "gateway/gateway.h"
#include "interwork/pidf.h"

enum dialect_carrier { DIALECT_PAGE, DIALECT_SIP, DIALECT_MSRP };
enum dialect_typing { DIALECT_COMPOSING, DIALECT_KEYBOARD };
enum dialect_receipts { DIALECT_IMDN, DIALECT_REPORT, DIALECT_NONE };

struct dialect {
	enum gateway_dialect id;
	const char *name;
	enum dialect_carrier carrier;
	bool falls_back;
	enum dialect_typing typing;
	enum dialect_receipts receipts;
	enum pidf_flavour presence; /* of the documents that its watchers get */
	bool ms_headers;
	const char *accept_types;
};

/* The row; AUTO gives the one of SIMPLE. */
const struct dialect *dialect_row(enum gateway_dialect id);

/* What a message of a home tells of its dialect: its User-Agent or Server (RTC/, UCCAPI, OC/, Lync, Skype: lync; "CUP", Cisco: cisco), or
 * what its INVITE offers (MSRP: msrp; message over "sip": lync). AUTO: nothing. */
enum gateway_dialect dialect_heard(const struct sip_msg *m);
