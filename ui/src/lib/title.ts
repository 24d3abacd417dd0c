/** Names the tab after what it shows. */
export function titled(what: string): void {
  document.title = `${what} · swivel`;
}
