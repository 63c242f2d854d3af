/* What close codes are called (RFC 6455, section 7.4, and IANA's registry), and what they mean behind a relay. */

const CODES = {
  1000: ['Normal Closure', 'the session is complete'],
  1001: ['Going Away', 'the server is stopping'],
  1002: ['Protocol error', 'one side broke the rules of WebSocket'],
  1003: ['Unsupported Data', 'this kind of message is not taken'],
  1004: ['Reserved', 'it has no meaning yet'],
  1005: ['No Status Rcvd', 'the Close frame held no code'],
  1006: ['Abnormal Closure', 'no Close frame came: it broke off'],
  1007: ['Invalid frame payload data', 'text that is not UTF-8'],
  1008: ['Policy Violation', 'a rule of the server was broken'],
  1009: ['Message Too Big', 'a message or line is longer than allowed'],
  1010: ['Mandatory Ext.', 'the server lacks an extension that the client needs'],
  1011: ['Internal Error', 'the server, or what is behind it, failed'],
  1012: ['Service Restart', 'the server restarts'],
  1013: ['Try Again Later', 'the server can’t take the session now'],
  1014: ['Bad Gateway', 'what is behind the server gave a wrong answer'],
  1015: ['TLS handshake', 'the TLS handshake failed'],
  3000: ['Unauthorized', 'credentials are missing or wrong'],
  3003: ['Forbidden', 'the credentials don’t suffice'],
  3008: ['Timeout', 'something took too long'],
};

/** The name and the meaning of a close code. */
export function explain(code) {
  if (CODES[code]) return CODES[code];
  if (code >= 4000 && code <= 4999) return ['Private Use', 'its meaning is the backend’s own'];
  if (code >= 3000 && code <= 3999) return ['Registered', 'of a library or framework'];
  return ['Unassigned', 'it has no meaning'];
}
