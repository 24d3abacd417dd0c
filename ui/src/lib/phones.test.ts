import { expect, it } from 'vitest';
import { addressOf, PHONES } from './phones';

const LINE = { user: 'desk', password: 'a "secret" & more', domain: 'pbx.example.com', server: 'pbx.example.com', port: 5060, name: 'Desk' };

it.each(PHONES)('tells $name who it is, where, and its password', (phone) => {
  const said = phone.file ? phone.file(LINE) : (phone.fields?.(LINE).map((field) => field.join(' ')).join('\n') ?? '');
  for (const part of ['desk', 'pbx.example.com']) expect(said).toContain(part);
  expect(said).toContain(phone.id === 'polycom' ? 'a &quot;secret&quot; &amp; more' : LINE.password);
});

it('names an outbound proxy only where the domain is no way to the server', () => {
  const any = PHONES[0]!;
  expect(any.fields?.(LINE).some(([name]) => name === 'Outbound proxy')).toBe(false);
  expect(any.fields?.({ ...LINE, server: '203.0.113.9', port: 5070 })).toContainEqual(['Outbound proxy', '203.0.113.9:5070']);
});

it('puts no password into a code that may be photographed', () => {
  expect(addressOf(LINE)).toBe('sip:desk@pbx.example.com');
  expect(addressOf({ ...LINE, password: 'x' })).not.toContain('x@');
});
