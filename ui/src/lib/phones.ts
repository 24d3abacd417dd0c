// Settings to copy into telephones (docs/phones.md).

export interface Line {
  user: string;
  password: string;
  /** The account's realm, or the device's own. */
  domain: string;
  /** Where to send to, when the domain is no name of DNS. */
  server: string;
  port: number;
  name: string;
}

export interface Kind {
  id: string;
  name: string;
  /** As a file, or field by field. */
  file?: (line: Line) => string;
  fields?: (line: Line) => [string, string][];
}

const proxy = (line: Line): [string, string][] => (line.server === line.domain && line.port === 5060 ? [] : [['Outbound proxy', `${line.server}:${line.port}`]]);

export const PHONES: Kind[] = [
  {
    id: 'any', name: 'Any telephone',
    fields: (line) => [['Server, domain, realm', line.domain], ...proxy(line), ['User name, authentication name', line.user], ['Password', line.password], ['Transport', `UDP or TCP, port ${line.port}`], ['Expiry', '300 to 3600 s']],
  },
  {
    id: 'yealink', name: 'Yealink',
    file: (line) =>
      [
        'account.1.enable = 1', `account.1.label = ${line.name}`, `account.1.user_name = ${line.user}`, `account.1.auth_name = ${line.user}`, `account.1.password = ${line.password}`,
        `account.1.sip_server.1.address = ${line.domain}`, `account.1.sip_server.1.port = ${line.port}`, 'account.1.sip_server.1.transport_type = 0', 'account.1.sip_server.1.expires = 3600',
        ...(proxy(line).length ? ['account.1.outbound_proxy_enable = 1', `account.1.outbound_proxy.1.address = ${line.server}`, `account.1.outbound_proxy.1.port = ${line.port}`] : []),
        'account.1.nat.rport = 1', 'account.1.nat.udp_update_enable = 1', 'account.1.subscribe_mwi = 1', 'account.1.subscribe_mwi_expires = 3600',
      ].join('\n'),
  },
  {
    id: 'grandstream', name: 'Grandstream',
    fields: (line) => [
      ['SIP Server (P47)', line.domain], ...proxy(line).map(([, value]): [string, string] => ['Outbound Proxy (P48)', value]), ['SIP User ID (P35), Authenticate ID (P36)', line.user], ['Authenticate Password (P34)', line.password],
      ['NAT Traversal (P52)', 'Keep-Alive'], ['Register Expiration (P32)', '60 (minutes)'], ['Unregister on Reboot (P81)', 'Instance'], ['SIP Transport (P130)', 'UDP or TCP'], ['SUBSCRIBE for MWI (P99)', 'Yes'],
    ],
  },
  {
    id: 'polycom', name: 'Polycom',
    file: (line) =>
      `<reg reg.1.address="${xml(line.user)}" reg.1.auth.userId="${xml(line.user)}" reg.1.auth.password="${xml(line.password)}"\n     reg.1.server.1.address="${xml(line.domain)}" reg.1.server.1.port="${line.port}"\n` +
      `${proxy(line).length ? `     reg.1.outboundProxy.address="${xml(line.server)}" reg.1.outboundProxy.port="${line.port}"\n` : ''}` +
      `     reg.1.server.1.transport="UDPOnly" reg.1.server.1.expires="3600" />\n<nat nat.keepalive.interval="30" />\n<msg msg.mwi.1.subscribe="${xml(line.user)}" msg.mwi.1.callBackMode="contact" />`,
  },
  { id: 'linphone', name: 'Linphone', fields: (line) => [['User name', line.user], ['Password', line.password], ['Domain', line.domain], ...proxy(line), ['Transport', 'UDP or TCP']] },
  { id: 'zoiper', name: 'Zoiper', fields: (line) => [['Account', `${line.user}@${line.domain}`], ['Password', line.password], ...proxy(line), ['Type', 'SIP UDP or SIP TCP'], ['Registration expiry', '300'], ['Keep-alive', '30 s'], ['Use rport', 'on']] },
];

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** The account as a `sip:` address, for telephones that read codes. The password is not in it. */
export function addressOf(line: Line): string {
  const port = line.port === 5060 ? '' : `:${line.port}`;
  return `sip:${encodeURIComponent(line.user)}@${line.domain}${line.server === line.domain ? port : `;maddr=${line.server}`}`;
}
