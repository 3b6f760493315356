/** A whole simulated school from a size and a seed: equal ones give equal rows on every machine. */
import { randomFrom } from '../synthetic.js'
import { fillCatalogue } from './catalogue.js'
import { fillUsers } from './people.js'
import { fillRelations } from './relations.js'
import { School } from './school.js'
import type { SchoolSize } from './size.js'

export function makeSchool(size: SchoolSize, seed: string): School {
  const school = new School()
  fillCatalogue(school, size, randomFrom(`${seed} catalogue`))
  fillUsers(school, size, randomFrom(`${seed} users`))
  fillRelations(school, size, randomFrom(`${seed} relations`))
  return school
}
