/** Synthetic rows of the shape of 42's users (index form, 25 keys), as JSON and as COPY text. Deterministic: row n is always the same. */

/** Columns of the table that keeps them: name, type, place in the record. */
export const userColumns: readonly (readonly [name: string, type: string, from: string])[] = [
  ['id', 'bigint', 'id'],
  ['email', 'text', 'email'],
  ['login', 'text', 'login'],
  ['first_name', 'text', 'first_name'],
  ['last_name', 'text', 'last_name'],
  ['usual_full_name', 'text', 'usual_full_name'],
  ['usual_first_name', 'text', 'usual_first_name'],
  ['url', 'text', 'url'],
  ['phone', 'text', 'phone'],
  ['displayname', 'text', 'displayname'],
  ['kind', 'text', 'kind'],
  ['image', 'jsonb', 'image'],
  ['staff', 'boolean', 'staff?'],
  ['correction_point', 'integer', 'correction_point'],
  ['pool_month', 'text', 'pool_month'],
  ['pool_year', 'text', 'pool_year'],
  ['location', 'text', 'location'],
  ['wallet', 'integer', 'wallet'],
  ['anonymize_date', 'timestamptz', 'anonymize_date'],
  ['data_erasure_date', 'timestamptz', 'data_erasure_date'],
  ['created_at', 'timestamptz', 'created_at'],
  ['updated_at', 'timestamptz', 'updated_at'],
  ['alumnized_at', 'timestamptz', 'alumnized_at'],
  ['alumni', 'boolean', 'alumni?'],
  ['active', 'boolean', 'active?'],
]

export type User = Readonly<Record<string, unknown>>

export function userOf(id: number): User {
  const login = `synth${id.toString(36)}`
  const two = (n: number) => String(n).padStart(2, '0')
  const day = `2025-${two((id % 12) + 1)}-${two((id % 28) + 1)}`
  const versions = { large: null, medium: null, small: null, micro: null }
  return {
    id,
    email: `${login}@student.example`,
    login,
    first_name: `First${id % 977}`,
    last_name: `Last${id % 1999}`,
    usual_full_name: `First${id % 977} Last${id % 1999}`,
    usual_first_name: null,
    url: `https://api.example/v2/users/${login}`,
    phone: 'hidden',
    displayname: `First${id % 977} Last${id % 1999}`,
    kind: 'student',
    image: { link: null, versions },
    'staff?': false,
    correction_point: id % 20,
    pool_month: 'july',
    pool_year: String(2015 + (id % 10)),
    location: id % 50 === 0 ? `c1r${id % 9}s${id % 17}` : null,
    wallet: id % 900,
    anonymize_date: `2028-07-${two((id % 28) + 1)}T00:00:00.000+08:00`,
    data_erasure_date: `2028-07-${two((id % 28) + 1)}T00:00:00.000+08:00`,
    created_at: `${day}T09:11:52.${String(id % 1000).padStart(3, '0')}Z`,
    updated_at: `2025-12-${two((id % 28) + 1)}T12:00:01.500Z`,
    alumnized_at: null,
    'alumni?': false,
    'active?': id % 3 !== 0,
  }
}

/** One line of COPY text for {@link userColumns}; the values need no escapes. */
export function copyLineOf(id: number): string {
  const user = userOf(id)
  const fields = userColumns.map(([, , from]) => {
    const value = user[from]
    if (value === null || value === undefined) return '\\N'
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
  return `${fields.join('\t')}\n`
}
