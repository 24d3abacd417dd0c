// How the server stands, as `GET /v2/health_check` says it.

export interface Check {
  what: string;
  state: 'ok' | 'attention' | 'failing';
  words: string;
}
