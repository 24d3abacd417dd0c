import { mount } from 'svelte';
import App from './App.svelte';
import './tokens.css';
import './base.css';
import { stayIn } from './lib/sign-in';
import { applyTheme } from './lib/theme';

applyTheme();
stayIn();
const target = document.getElementById('page');
if (target) mount(App, { target });
