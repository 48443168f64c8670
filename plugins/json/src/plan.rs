//! Which members of a payload's objects are worth noting: the paths of all fields that are needed, as one tree.

use crate::block;
use crate::settings::{Field, Settings};

/// What to look for, for one choice of wanted outputs.
pub struct Plan {
    /// The required fields in the order in which they are judged, then the wanted ones that are not among them.
    pub fields: Vec<Field>,
    /// For each wanted output, its place in `fields`.
    pub columns: Vec<usize>,
    /// For each field, where its paths' values are kept: the first path's slot.
    pub slots: Vec<usize>,
    /// The tree; its root, the first, is the payload's object.
    pub nodes: Vec<Node>,
}

/// An object that holds members worth noting.
#[derive(Default)]
pub struct Node {
    pub children: Vec<Child>,
    /// Names that are guessed: the children's, in their order, then others that were met.
    pub names: Names,
    /// All that lies below, to be forgotten when another value replaces the object: fields and bits of their paths.
    pub below: Vec<(usize, u64)>,
    /// The last payload in which the object was met.
    pub met: u64,
}

/// A member worth noting.
pub struct Child {
    name: Vec<u8>,
    pub targets: Vec<Target>,
    /// Where the member is an object, its node.
    pub node: Option<usize>,
}

/// A path that ends at a member.
#[derive(Clone, Copy)]
pub struct Target {
    pub field: usize,
    /// The bit of the path among its field's.
    pub bit: u64,
    pub slot: usize,
}

impl Plan {
    /// The plan for these outputs; an unknown one comes back as the error.
    pub fn new(settings: &Settings, wanted: &[String]) -> Result<Self, String> {
        let mut fields: Vec<Field> =
            settings.fields.iter().filter(|field| field.is_required()).cloned().collect();
        let mut columns = Vec::with_capacity(wanted.len());
        for name in wanted {
            let place = match fields.iter().position(|field| field.name == *name) {
                Some(place) => place,
                None => {
                    let field = settings
                        .fields
                        .iter()
                        .find(|field| field.name == *name)
                        .ok_or_else(|| name.clone())?;
                    fields.push(field.clone());
                    fields.len() - 1
                }
            };
            columns.push(place);
        }
        let mut plan = Self { fields: Vec::new(), columns, slots: Vec::new(), nodes: vec![Node::default()] };
        let mut slots = 0;
        for (field, known) in fields.iter().enumerate() {
            plan.slots.push(slots);
            for (rank, path) in known.paths.iter().enumerate() {
                plan.add(&path.0, Target { field, bit: 1 << rank, slot: slots + rank });
            }
            slots += known.paths.len();
        }
        plan.fields = fields;
        for node in &mut plan.nodes {
            node.names = Names::new(&node.children);
        }
        Ok(plan)
    }

    fn add(&mut self, path: &[String], target: Target) {
        let mut node = 0;
        for (depth, name) in path.iter().enumerate() {
            let below = &mut self.nodes[node].below;
            match below.iter_mut().find(|(field, _)| *field == target.field) {
                Some((_, bits)) => *bits |= target.bit,
                None => below.push((target.field, target.bit)),
            }
            let child = self.child(node, name);
            if depth + 1 == path.len() {
                self.nodes[node].children[child].targets.push(target);
                return;
            }
            node = match self.nodes[node].children[child].node {
                Some(next) => next,
                None => {
                    self.nodes.push(Node::default());
                    let next = self.nodes.len() - 1;
                    self.nodes[node].children[child].node = Some(next);
                    next
                }
            };
        }
    }

    fn child(&mut self, node: usize, name: &str) -> usize {
        let children = &mut self.nodes[node].children;
        if let Some(place) = children.iter().position(|child| child.name == name.as_bytes()) {
            return place;
        }
        children.push(Child { name: name.as_bytes().to_vec(), targets: Vec::new(), node: None });
        children.len() - 1
    }
}

impl Node {
    /// The place of the child that bears the name.
    pub fn child(&self, name: &[u8]) -> Option<usize> {
        self.children.iter().position(|child| child.name == name)
    }
}

/// Names met in an object, each with the one that came after it last: records resemble each other, so the next name is
/// guessed and compared as a whole, closing quote included, before anybody scans for that quote.
#[derive(Default)]
pub struct Names {
    names: Vec<Name>,
    /// How many of them are children; those come first, in their order.
    children: usize,
    first: usize,
}

/// No name.
pub const NOBODY: usize = usize::MAX;
/// In place of a previous name: there is none, the object begins here.
pub const BEGIN: usize = usize::MAX - 1;
/// So many names that nobody asked for are remembered for each object.
const REMEMBERED: usize = 64;

struct Name {
    word: (u64, u64),
    mask: (u64, u64),
    length: usize,
    next: usize,
    role: Role,
}

/// What to do with the member of a name.
#[derive(Clone, Copy)]
pub enum Role {
    /// Nobody asked for it.
    Stranger,
    /// A path ends at it, none leads through it, and no other ends there.
    Leaf(Target),
    /// A child of another sort.
    Branch,
}

impl Names {
    fn new(children: &[Child]) -> Self {
        let name = |child: &Child| match (child.targets.as_slice(), child.node) {
            ([target], None) => Name::new(&child.name, Role::Leaf(*target)),
            _ => Name::new(&child.name, Role::Branch),
        };
        Self { names: children.iter().map(name).collect(), children: children.len(), first: NOBODY }
    }

    /// The name guessed to come after `previous`, and its length, if it is what the sixteen bytes begin with.
    #[inline(always)]
    pub fn guess(&self, previous: usize, (low, high): (u64, u64)) -> Option<(usize, usize)> {
        let place = match self.names.get(previous) {
            Some(name) => name.next,
            None => self.first,
        };
        let guess = self.names.get(place)?;
        let comes_true = low & guess.mask.0 == guess.word.0 && high & guess.mask.1 == guess.word.1;
        comes_true.then_some((place, guess.length))
    }

    /// What to do with the member of that name.
    #[inline(always)]
    pub fn role(&self, place: usize) -> Role {
        self.names.get(place).map_or(Role::Stranger, |name| name.role)
    }

    /// The place of a name that stands in a payload without escapes and is no child's; [`NOBODY`] if it is not to be
    /// remembered.
    pub fn stranger(&mut self, name: &[u8]) -> usize {
        let new = Name::new(name, Role::Stranger);
        if new.mask == (0, 0) || !name.is_ascii() {
            return NOBODY;
        }
        let known =
            self.names[self.children..].iter().position(|old| old.word == new.word && old.mask == new.mask);
        if let Some(place) = known {
            return self.children + place;
        }
        if self.names.len() >= self.children + REMEMBERED {
            return NOBODY;
        }
        self.names.push(new);
        self.names.len() - 1
    }

    /// Remembers that `name` came after `previous`.
    pub fn follow(&mut self, previous: usize, name: usize) {
        match self.names.get_mut(previous) {
            Some(previous) => previous.next = name,
            None if previous == BEGIN => self.first = name,
            None => {}
        }
    }
}

impl Name {
    /// A name that does not fit into a block, or does not stand in a payload as it is, is never guessed.
    fn new(name: &[u8], role: Role) -> Self {
        let never = Self { word: (1, 0), mask: (0, 0), length: name.len(), next: NOBODY, role };
        if name.len() >= block::LENGTH || name.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
        {
            return never;
        }
        let mut word = [0; block::LENGTH];
        let mut mask = [0; block::LENGTH];
        word[..name.len()].copy_from_slice(name);
        word[name.len()] = b'"';
        mask[..=name.len()].fill(0xff);
        Self { word: block::words(&word, 0), mask: block::words(&mask, 0), ..never }
    }
}
