import { beforeEach, expect, it } from 'vitest';
import { history, keepVersion, readVersions } from './versions';

const G = 62_167_219_200;

beforeEach(() => sessionStorage.clear());

it('keeps what this tab has read and saved, the same text once, twenty at most', () => {
  for (let n = 0; n < 30; n += 1) {
    keepVersion('one', `text ${n}`, n);
    keepVersion('one', `text ${n}`, n + 0.5);
  }
  expect(readVersions('one').map((each) => each.at)).toEqual(Array.from({ length: 20 }, (_, n) => n + 10));
  expect(readVersions('other')).toEqual([]);
});

it('gives each save its text where it is known', () => {
  const saves = [{ created: G + 10, authenticated_user_id: 'ada', changed: ['flow'] }, { created: G + 30 }, { created: G + 20 }];
  const found = history(saves, [{ text: 'as read', at: 12_000 }, { text: 'as saved', at: 30_400 }]);
  expect(found.map(({ at, user, text }) => [at, user, text])).toEqual([[30_000, null, 'as saved'], [20_000, null, null], [10_000, 'ada', 'as read']]);
});

it('knows versions where nobody may read the log', () => {
  expect(history([], [{ text: 'a', at: 1 }, { text: 'b', at: 2 }]).map((each) => each.text)).toEqual(['b', 'a']);
});
