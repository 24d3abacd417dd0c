// Light, dark or as the system has it; dense or roomy. Kept in this browser.

export type Theme = 'system' | 'light' | 'dark';

export function theme(): Theme {
  const kept = localStorage.getItem('theme');
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

export function setTheme(next: Theme): void {
  localStorage.setItem('theme', next);
  applyTheme();
}

export function roomy(): boolean {
  return localStorage.getItem('density') === 'roomy';
}

export function setRoomy(yes: boolean): void {
  localStorage.setItem('density', yes ? 'roomy' : 'dense');
  applyTheme();
}

/** Puts the choice on the document and follows the system while that is the choice. */
export function applyTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const put = () => {
    const chosen = theme();
    document.documentElement.dataset.theme = chosen === 'system' ? (system.matches ? 'dark' : 'light') : chosen;
    document.documentElement.dataset.density = roomy() ? 'roomy' : 'dense';
  };
  put();
  system.onchange = put;
}
