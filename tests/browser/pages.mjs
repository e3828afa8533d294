import assert from 'node:assert/strict'
import { signedIn } from './session.mjs'

/** The part of the story that is told on the pages of models, of deliveries and of one's own account, and of the rule that stops models. */
export function pages({ page, url, user, password, look, fits }) {
  async function opened(link, heading = link) {
    await page.getByRole('link', { name: link, exact: typeof link === 'string' }).click()
    await page.getByRole('heading', { name: heading, exact: true, level: 1 }).waitFor()
  }

  async function onPhone(name, heading) {
    await page.setViewportSize({ width: 360, height: 740 })
    await page.reload()
    await page.getByRole('heading', { name: heading, exact: true, level: 1 }).waitFor()
    await fits(name)
    await look(`phone-${name}`)
    await page.setViewportSize({ width: 1440, height: 900 })
  }

  return {
    async 'versions of models stand beside each other as the address says'() {
      await page.goto(`${url}#/`)
      await opened('Models')
      await page.getByRole('row').filter({ hasText: 'serving' }).first().waitFor()
      const box = page.getByRole('checkbox', { name: /^Compare / }).first()
      const name = (await box.getAttribute('aria-label')).replace('Compare ', '')
      const version = page.getByRole('article', { name, exact: true })
      await version.waitFor()
      await look('models')
      await box.uncheck()
      await version.waitFor({ state: 'detached' })
      await page.waitForURL((at) => at.hash.startsWith('#/models?compare='))
      await page.reload()
      await box.waitFor()
      assert.ok(!(await box.isChecked()) && (await version.count()) === 0, 'a reload compares something else')
      await box.check()
      await version.waitFor()
      const at = page.getByLabel('Promote, or let look on, at')
      await at.selectOption('flair')
      await page.waitForURL((address) => address.hash.endsWith('&kind=flair'))
      await page.reload()
      await version.waitFor()
      assert.equal(await at.inputValue(), 'flair')
      await onPhone('models', 'Models')
    },

    async 'a destination is added and taken away, its secret is shown once, and the address says which deliveries are listed'() {
      await opened('Deliveries')
      await page.getByLabel('Name', { exact: true }).fill('a listener')
      await page.getByLabel('Address', { exact: true }).fill('https://listener.example/medseg')
      await page.getByRole('button', { name: 'Add the destination' }).click()
      await page.getByTestId('destination-secret').waitFor()
      const row = page.getByTestId('destinations').getByRole('listitem').filter({ hasText: 'a listener' })
      await row.getByRole('button', { name: 'Disable', exact: true }).click()
      await row.getByRole('button', { name: 'Enable', exact: true }).waitFor()
      await look('deliveries')
      await page.reload()
      await row.filter({ hasText: 'Disabled' }).waitFor()
      assert.equal(await page.getByTestId('destination-secret').count(), 0, 'the secret is shown again')
      page.once('dialog', (dialog) => dialog.accept())
      await row.getByRole('button', { name: 'Remove', exact: true }).click()
      await row.waitFor({ state: 'detached' })
      const shown = page.getByRole('combobox', { name: /^Show/ })
      await shown.selectOption('failed')
      await page.waitForURL((at) => at.hash === '#/deliveries?state=failed')
      const asked = page.waitForRequest((request) => request.url().includes('/v1/deliveries?') && request.url().includes('state=failed'))
      await page.reload()
      await asked
      await page.getByText('There is no such delivery.').waitFor()
      assert.equal(await shown.inputValue(), 'failed')
      await onPhone('deliveries', 'Deliveries')
    },

    async 'one’s own account says whose it is and where it is signed in'() {
      await opened(/^Your account/, 'Your account')
      await page.getByTestId('sessions').getByRole('button', { name: /^End the session begun / }).first().waitFor()
      await page.getByRole('heading', { name: 'Second factor' }).waitFor()
      await look('account')
      await onPhone('account', 'Your account')
    },

    async 'a security key is registered, asked for at the next sign-in, and taken away'() {
      const headers = await signedIn(url, user, password)
      const { offered } = await (await fetch(new URL('v1/account/security-keys', url), { headers })).json()
      if (!offered) return console.log('skipped: this medseg was not told by which name browsers reach it (PUBLIC_URL)')
      const one = { user_name: 'holder-of-a-key', password: `${password}-of-the-holder`, roles: ['clinician'] }
      const made = await fetch(new URL('v1/users', url), { method: 'POST', headers, body: JSON.stringify(one) })
      assert.ok(made.ok, `${made.status}`)
      // A key is of a name, which a number is not.
      const at = Object.assign(new URL(url), { hostname: 'localhost' }).href
      const context = await page.context().browser().newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })
      const own = await context.newPage()
      const devices = await context.newCDPSession(own)
      await devices.send('WebAuthn.enable')
      const options = {
        protocol: 'ctap2', transport: 'usb', hasResidentKey: false, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true,
      }
      const { authenticatorId } = await devices.send('WebAuthn.addVirtualAuthenticator', { options })
      const comes = async () => {
        await own.goto(at)
        await own.getByLabel('User name').fill(one.user_name)
        await own.getByLabel('Password').fill(one.password)
        await own.getByRole('button', { name: 'Sign in' }).click()
      }
      const isIn = () => own.getByRole('button', { name: 'Sign out' }).waitFor()
      const leaves = async () => {
        await own.getByRole('button', { name: 'Sign out' }).click()
        await own.getByLabel('User name').waitFor()
      }
      await comes()
      await isIn()
      await own.goto(`${at}#/account`)
      const form = own.getByTestId('new-key')
      await form.getByLabel('Name of the key').fill('the blue one')
      await form.getByLabel('Password, once more').fill(one.password)
      await form.getByRole('button', { name: 'Register a security key' }).click()
      const keys = own.getByTestId('keys')
      await keys.getByText('the blue one', { exact: true }).waitFor()
      await keys.getByText('Not used yet').waitFor()
      assert.equal(await own.getByTestId('codes').getByRole('listitem').count(), 10)
      await look('security-keys', own)
      await leaves()

      await comes()
      await own.getByRole('button', { name: 'Use a security key' }).click()
      await isIn()
      // A copy of the key, whose counter stands where it stood before, lets nobody in.
      const { credentials } = await devices.send('WebAuthn.getCredentials', { authenticatorId })
      await devices.send('WebAuthn.clearCredentials', { authenticatorId })
      await devices.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credentials[0], signCount: 0 } })
      await leaves()
      await comes()
      await own.getByRole('button', { name: 'Use a security key' }).click()
      await own.getByRole('alert').filter({ hasText: 'not accepted' }).waitFor()
      await look('wrong-key', own)
      await devices.send('WebAuthn.clearCredentials', { authenticatorId })
      await devices.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credentials[0], signCount: 100 } })
      await own.getByRole('button', { name: 'Sign in' }).click()
      await own.getByRole('button', { name: 'Use a security key' }).click()
      await isIn()

      await own.goto(`${at}#/account`)
      const take = keys.getByRole('button', { name: 'Take the key the blue one away' })
      await take.click()
      await keys.getByLabel('Password, once more').fill(one.password)
      await take.click()
      await keys.waitFor({ state: 'detached' })
      await leaves()
      await comes()
      await isIn()
      await context.close()
    },

    async 'a clinician begins with the scans, a scientist with the figures and is shown no scan, and neither is offered what they may not'() {
      const headers = await signedIn(url, user, password)
      for (const [role, heading, offered, withheld] of [
        ['clinician', 'New scan', ['Quality'], ['Drift', 'Models', 'Deliveries', 'Administration']],
        ['scientist', 'Quality', ['Drift', 'Models'], ['New scan', 'Deliveries', 'Administration']],
      ]) {
        const one = { user_name: `a-${role}`, password: `${password}-of-the-${role}`, roles: [role] }
        const made = await fetch(new URL('v1/users', url), { method: 'POST', headers, body: JSON.stringify(one) })
        assert.ok(made.ok || made.status === 409, `${made.status}`)
        const context = await page.context().browser().newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } })
        const own = await context.newPage()
        const asked = []
        own.on('request', (request) => asked.push(new URL(request.url()).pathname))
        await own.goto(url)
        await own.getByLabel('User name').fill(one.user_name)
        await own.getByLabel('Password').fill(one.password)
        await own.getByRole('button', { name: 'Sign in' }).click()
        await own.getByRole('heading', { name: heading, exact: true, level: 1 }).waitFor()
        for (const link of offered) await own.getByRole('link', { name: link, exact: true }).waitFor()
        for (const link of withheld) assert.equal(await own.getByRole('link', { name: link, exact: true }).count(), 0, `a ${role} is offered ${link}`)
        assert.equal(asked.some((path) => path.startsWith('/v1/scans')), role === 'clinician', `a ${role} asks for scans`)
        await look(`home-of-a-${role}`, own)
        await context.close()
      }
    },

    async 'the rule that stops models is set, says by whom, and is taken back'() {
      const rule = page.getByTestId('stop-rule')
      const bound = page.getByLabel('At most so many of 100')
      const set = page.getByRole('button', { name: 'Set the rule' })
      await page.goto(`${url}#/administration`)
      await rule.filter({ hasText: 'No model is stopped by itself.' }).waitFor()
      await bound.fill('99')
      await set.click()
      await rule.filter({ hasText: 'Set by ' }).waitFor()
      await page.reload()
      await rule.filter({ hasText: 'Set by ' }).waitFor()
      assert.equal(await bound.inputValue(), '99')
      await look('stop-rule')
      await bound.fill('0')
      await set.click()
      await rule.filter({ hasText: 'No model is stopped by itself.' }).waitFor()
    },
  }
}
