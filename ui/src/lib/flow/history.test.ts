import { expect, it } from 'vitest';
import { History } from './history';

it('goes back and forth with the selection of each moment', () => {
  const history = new History('a', '');
  history.push('b', 'children._', '', 0);
  history.push('c', 'children.1', '', 1);
  expect(history.undo()).toMatchObject({ text: 'b', at: 'children._' });
  expect(history.undo()).toMatchObject({ text: 'a', at: '' });
  expect(history.undo()).toBeNull();
  expect(history.redo()).toMatchObject({ text: 'b' });
  history.push('d', '', '', 2);
  expect(history.redo()).toBeNull();
  expect(history.text).toBe('d');
});

it('takes letters typed in one go for one step', () => {
  const history = new History('', '');
  history.push('h', '', 'type', 0);
  history.push('he', '', 'type', 200);
  history.push('hey', '', 'type', 2000);
  expect(history.undo()?.text).toBe('he');
  expect(history.undo()?.text).toBe('');
});

it('counts the steps since a text', () => {
  const history = new History('saved', '');
  expect(history.stepsSince('saved')).toBe(0);
  history.push('1', '', '', 0);
  history.push('2', '', '', 0);
  expect(history.stepsSince('saved')).toBe(2);
  history.undo();
  expect(history.stepsSince('saved')).toBe(1);
});
