/* SPDX-License-Identifier: Apache-2.0 */
/* Errors. Functions that can fail return 0 or one negative entente_error; where an administrator or a peer must learn why,
 * a struct entente_err is filled beside it. Library layers never log: they fill this and the role that owns the work logs once. */
#pragma once
#include "base/reason.h"
#include "base/slice.h"

enum entente_error {
	ENTENTE_OK = 0,
	ENTENTE_EINVAL = -1,    /* the caller broke the contract */
	ENTENTE_ESYNTAX = -2,   /* input is malformed */
	ENTENTE_ELIMIT = -3,    /* a limit was exceeded */
	ENTENTE_EAGAIN = -4,    /* needs more input, or try later */
	ENTENTE_ECLOSED = -5,   /* the other end or the object is gone */
	ENTENTE_ENOTFOUND = -6,
	ENTENTE_EEXIST = -7,
	ENTENTE_EREFUSED = -8,  /* by policy */
	ENTENTE_EAUTH = -9,     /* identity not proven */
	ENTENTE_ETIMEOUT = -10,
	ENTENTE_ENET = -11,     /* DNS, connect, read, write */
	ENTENTE_ETLS = -12,
	ENTENTE_ESTORE = -13,   /* database */
	ENTENTE_EUNSUPPORTED = -14,
	ENTENTE_EIO = -15,      /* a file, a system call */
};

const char *entente_strerror(int code);

struct entente_err {
	int code;            /* enum entente_error */
	enum reason reason;  /* REASON_NONE when no table row fits */
	char text[256];      /* what happened, why, who can fix it; UTF-8, one line */
};

/* Fills *err (which may be NULL) and returns `code`, so that a failing function can `return err_set(...)`. */
int err_set(struct entente_err *err, int code, enum reason reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
