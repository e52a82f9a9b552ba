/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/enc.h"

const char *entente_strerror(int code)
{
	switch ((enum entente_error)code) {
	case ENTENTE_OK: return "success";
	case ENTENTE_EINVAL: return "invalid use";
	case ENTENTE_ESYNTAX: return "malformed input";
	case ENTENTE_ELIMIT: return "limit exceeded";
	case ENTENTE_EAGAIN: return "try again";
	case ENTENTE_ECLOSED: return "closed";
	case ENTENTE_ENOTFOUND: return "not found";
	case ENTENTE_EEXIST: return "exists already";
	case ENTENTE_EREFUSED: return "refused by policy";
	case ENTENTE_EAUTH: return "not authenticated";
	case ENTENTE_ETIMEOUT: return "timed out";
	case ENTENTE_ENET: return "network failure";
	case ENTENTE_ETLS: return "TLS failure";
	case ENTENTE_ESTORE: return "database failure";
	case ENTENTE_EUNSUPPORTED: return "not supported";
	case ENTENTE_EIO: return "input/output failure";
	}
	return "unknown error";
}

int err_set(struct entente_err *err, int code, enum reason reason, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		err->code = code;
		err->reason = reason;
		int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
		if (n >= (int)sizeof err->text) /* no half character at the cut */
			err->text[utf8_first(slice_of(err->text, sizeof err->text - 1), sizeof err->text - 2).len] = '\0';
	}
	return code;
}
