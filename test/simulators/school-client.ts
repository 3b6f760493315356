// A client of the simulated School 42 that knows nothing but HTTP: it asks for a token and sends it.
import { type School42, syntheticApplication } from '../../src/simulators/school-42/school-42.js'
import { type Answer, ask, post } from './ask.js'

export const agent = { 'user-agent': 'school-client/1.0' }
const { clientId, clientSecret } = syntheticApplication
export const credentials = `grant_type=client_credentials&client_id=${clientId}&client_secret=${clientSecret}`

export interface Granted {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly scope: string
  readonly created_at: number
  readonly secret_valid_until: number | null
}

export async function grant(school: School42, body = credentials): Promise<Granted> {
  const headers = { ...agent, 'content-type': 'application/x-www-form-urlencoded' }
  return JSON.parse((await post(`${school.url}/oauth/token`, body, headers)).body) as Granted
}

export class SchoolClient {
  readonly #school: School42
  #token: string

  private constructor(school: School42, token: string) {
    this.#school = school
    this.#token = token
  }

  static async of(school: School42): Promise<SchoolClient> {
    return new SchoolClient(school, (await grant(school)).access_token)
  }

  async renew(): Promise<void> {
    this.#token = (await grant(this.#school)).access_token
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return ask(`${this.#school.url}${path}`, { ...agent, authorization: `Bearer ${this.#token}`, ...headers })
  }

  async rows<Row = Record<string, unknown>>(path: string): Promise<readonly Row[]> {
    return JSON.parse((await this.get(path)).body) as Row[]
  }

  async row<Row = Record<string, unknown>>(path: string): Promise<Row> {
    return JSON.parse((await this.get(path)).body) as Row
  }

  /** Every page up to the first empty one. */
  async walk<Row = Record<string, unknown>>(path: string, size = 100): Promise<Row[]> {
    const rows: Row[] = []
    const joint = path.includes('?') ? '&' : '?'
    for (let page = 1; ; page += 1) {
      const found = await this.rows<Row>(`${path}${joint}page=${page}&per_page=${size}`)
      if (found.length === 0) return rows
      rows.push(...found)
    }
  }
}
