// Owns the shape of `auth`: one of four kinds of credentials, or none. What its templates name is checked in `compile-auth.ts`.
import { z } from 'zod'
import { duration, oneOf, words } from './schema-parts.js'

const secret = words('$NAME of a variable; its value is in .env')
const text = z.string({ error: 'text, or $NAME of a variable' })
const oauth2Expected = '{ token_url: /oauth/token, client_id: $ID, client_secret: $SECRET }'
const basicExpected = '{ user: $USER, password: $PASSWORD }'
const authExpected =
  'none, or one of { oauth2: { token_url: …, client_id: …, client_secret: … } }, { bearer: $TOKEN }, { api_key: $KEY, header: … }, { basic: { user: …, password: … } }'

const oauth2 = z.strictObject(
  {
    tokenUrl: words('an address, or a path from the origin of base_url like /oauth/token'),
    clientId: words('$NAME of a variable, or the id'),
    clientSecret: secret,
    scope: words('a scope like "public projects"').optional(),
    send: oneOf(['form', 'json', 'basic']).optional(),
    margin: duration(0, 3_600_000).optional(),
    ahead: duration(0, 604_800_000).optional(),
  },
  { error: oauth2Expected },
)

/** Credentials of a source. */
export const auth = z.union(
  [
    z.literal('none', { error: authExpected }),
    z.strictObject({ oauth2 }, { error: authExpected }),
    z.strictObject({ bearer: secret }, { error: authExpected }),
    z.strictObject(
      {
        apiKey: secret,
        header: words('the name of a header').optional(),
        query: words('the name of a parameter').optional(),
      },
      { error: authExpected },
    ),
    z.strictObject(
      { basic: z.strictObject({ user: text, password: text }, { error: basicExpected }) },
      { error: authExpected },
    ),
  ],
  { error: authExpected },
)

export type AuthDraft = z.output<typeof auth>
