import { mount } from 'svelte';
import App from './App.svelte';
import './tokens.css';
import './base.css';
import { applyTheme } from './lib/theme';

applyTheme();
const target = document.getElementById('page');
if (target) mount(App, { target });
