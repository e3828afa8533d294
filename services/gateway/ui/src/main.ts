import { mount } from 'svelte'
import './app.css'
import App from './App.svelte'
import { language } from './language'

document.documentElement.lang = language

const target = document.getElementById('app')
if (!target) throw new Error('the page has no place for the app')

export default mount(App, { target })
